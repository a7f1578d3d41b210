"""Pods that admission placed: the class that governs them, refused ones, and the replacement of those that wait."""
