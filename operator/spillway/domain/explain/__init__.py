"""The explanation of one pod, workload, node or pool: where it is and why, its price, and what would change it."""
