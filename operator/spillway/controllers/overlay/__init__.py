"""Trials of the overlays of pools, and the part of the status about them."""
