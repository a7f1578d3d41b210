"""The threshold: how many replicas of each workload to keep on physical nodes, from demand, capacity and prices.

The objective is in `levels` (`Levels.worth`), the search for the plan that is best by it in `allocation`, and the plan
of all policies together in `solve`. Which number counts in the end (an annotation, a manual or a planned one) is in
`effective`.
"""
