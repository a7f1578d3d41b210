"""Budgets of virtual pools: limits, prices, the cost of the month, alerts and consumption."""
