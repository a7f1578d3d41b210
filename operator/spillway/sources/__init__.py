"""What is read from outside the API server: demand from Prometheus or files, and the load of nodes and zones."""
