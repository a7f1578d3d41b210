"""The placement of new pods: physical or virtual nodes, the pools that may take a pod, and what is added to it."""
