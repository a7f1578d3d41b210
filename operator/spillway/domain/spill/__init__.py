"""When a waiting pod spills to the other side, and when virtual replicas come back."""
