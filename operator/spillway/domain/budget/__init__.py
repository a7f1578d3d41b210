"""Budgets of virtual pools: limits (also the month's), prices, the ledger of costs, alerts and resource-seconds."""
