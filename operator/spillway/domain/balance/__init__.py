"""The balance: the real load of nodes and zones, which nodes are hot, and where a new replica relieves its service."""
