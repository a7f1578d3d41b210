"""The I/O with the API server: the client, informers, the work queue, the writer, Events and leader election."""
