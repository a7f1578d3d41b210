"""Nodes: taints, cordons and drains, and the sweep of orphaned marks."""
