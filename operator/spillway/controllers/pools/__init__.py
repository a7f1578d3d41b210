"""Health, stock, and failover of the pools of virtual nodes."""
