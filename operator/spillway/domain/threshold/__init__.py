"""How many replicas of each workload are worth owning nodes for: pure functions of demand, capacity and prices."""
