"""Whether a pod fits a node, as the scheduler decides it: `node_fit` for whether it may run there, `room` for space."""
