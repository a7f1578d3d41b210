"""What a pod needs on virtual nodes and not elsewhere: additions planned at its creation, marks for where it landed."""
