"""The scheduler extender: scores of nodes by their real load, for kube-scheduler."""
