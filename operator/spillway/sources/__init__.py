"""Sources of demand history: Prometheus and CSV files."""
