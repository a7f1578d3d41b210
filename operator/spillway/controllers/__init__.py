"""What the leader does: a controller plans in `domain`, gates on fresh data, and has a bounded writer."""
