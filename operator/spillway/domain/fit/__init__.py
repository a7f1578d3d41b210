"""Whether a pod fits a node, as the scheduler decides it."""
