"""Surges: one additional replica of a workload, so that another can go without a gap."""
