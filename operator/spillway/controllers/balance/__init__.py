"""Balance: loads of nodes and zones, hot nodes, the rebalancer, consolidation, and the status of ZonalBalances."""
