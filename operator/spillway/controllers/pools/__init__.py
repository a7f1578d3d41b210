"""Pools of virtual nodes: health, stock and failover, and the part of the status."""
