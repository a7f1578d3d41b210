"""Costs and consumption of each pool."""
