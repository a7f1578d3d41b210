"""Spill and bring-back: when a waiting pod spills to virtual nodes, and when virtual replicas are brought back."""
