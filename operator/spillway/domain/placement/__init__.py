"""Where a new pod goes: its tier by the threshold, the pools that may take it, and what it needs to get there."""
