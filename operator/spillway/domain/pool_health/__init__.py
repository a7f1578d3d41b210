"""Whether a pool of virtual nodes can be relied on, and what becomes of the pods of one that cannot."""
