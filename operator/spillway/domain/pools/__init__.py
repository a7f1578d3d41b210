"""Health, stock, and sizes of the pools of virtual nodes, and failover between them."""
