"""The threshold: how many replicas of each workload to keep on physical nodes, from demand, capacity and prices."""
