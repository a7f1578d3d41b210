"""The order of a scale-down: which pods are deleted, and the deletion costs that make Kubernetes choose them."""
