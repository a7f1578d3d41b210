"""Admission: what has to happen in the very write that binds a pod, scales a ReplicaSet or creates a node."""
