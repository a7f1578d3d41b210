"""What `spillway simulate` answers."""
