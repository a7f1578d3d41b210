"""What we measure: the metrics that we export, and the sources from which demand and load are read."""
