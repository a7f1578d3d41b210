"""What admission and the controllers share about virtual pools: thresholds, verdicts, reservations, redirects."""
