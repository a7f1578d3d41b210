"""What to do when a provider has no stock of a size: notice it, ask for the next size, give up on the pool."""
