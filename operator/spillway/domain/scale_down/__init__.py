"""Which pods go at a scale-down, and the deletion costs that make Kubernetes agree."""
