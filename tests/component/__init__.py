"""Parts of the operator on a real API server. A package, so that what they share ends with the last of them."""
