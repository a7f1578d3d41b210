"""Reaction to what becomes of the pods that admission has placed."""
