"""The cluster in memory, without I/O."""
