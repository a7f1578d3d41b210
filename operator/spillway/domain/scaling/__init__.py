"""The number of replicas that each workload should have: the highest of its schedules and of its forecast demand."""
