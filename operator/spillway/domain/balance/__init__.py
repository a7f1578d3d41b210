"""The balance: the real load of nodes and zones, which nodes are hot, and where a new replica relieves its service.

Which pods are moved is in `moves` (to even out load) and `consolidation` (to empty elastic nodes).
"""
