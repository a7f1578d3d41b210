"""The capacity that is kept free for governed workloads: how much, where, and by which objects."""
