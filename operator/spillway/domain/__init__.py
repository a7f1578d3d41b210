"""Decisions by feature: pure functions over frozen records, with the time passed in."""
