"""Facts about the cluster and the names of things, each derived once."""
