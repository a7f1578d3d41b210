"""The overlay of a pool: what a pod needs on virtual nodes and not elsewhere, and marks that say where it landed."""
