"""Plans thresholds from demand history and prices."""
