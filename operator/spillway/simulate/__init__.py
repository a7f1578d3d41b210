"""The simulator: it replays days of load through the production planners, against models of the other components.

Contract: pure and seeded: the same scenario gives the same result. The planners are those of `spillway.domain`,
unchanged; the scheduler, the ReplicaSet controller, HPA and the node autoscaler are models, each in its own file, each
naming what it leaves out.
"""
