"""What a virtual pool may hold and cost, what it has cost, and who used it: pure functions of pods, prices and time."""
