"""Taints and cordons of nodes, and the removal of orphaned marks."""
