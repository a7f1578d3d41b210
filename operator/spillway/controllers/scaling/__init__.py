"""Scaling: the recommended replicas of governed workloads, and the part of the status."""
