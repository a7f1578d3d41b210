"""The controllers of the leader: each plans in `domain`, requires fresh data, and has a rate-limited writer."""
