"""Budgets: costs and consumption of each pool, and the part of the status."""
