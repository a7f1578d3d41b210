"""Governance: which policy governs a workload or a node, and which resources contradict each other."""
