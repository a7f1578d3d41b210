"""kopf watches our three kinds, and nothing else, and feeds the catalog."""
