"""Thresholds: the joint plan from demand history and prices, and the part of the status."""
