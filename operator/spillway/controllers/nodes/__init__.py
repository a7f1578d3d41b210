"""Taints, cordons, and drains of nodes, and the sweep of orphaned marks."""
