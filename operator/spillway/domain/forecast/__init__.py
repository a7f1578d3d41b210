"""The forecast: the highest demand that the near future will bring, and the distribution of demand over a cycle."""
