"""The backtest: recorded demand replayed through the production planners, beside plain Kubernetes and lower bounds.

Contract: pure; the same case gives the same result. The replay is that of `spillway.simulate`, with steps as long as
those of the demand history. Every contender has the same demand, the same nodes and the same prices.
"""
