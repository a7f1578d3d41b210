"""The model of the cluster in memory, without I/O."""
