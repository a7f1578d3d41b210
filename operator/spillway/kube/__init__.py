"""The cluster: reading it (informers, state), writing to it (one bounded writer), and being the one who may."""
