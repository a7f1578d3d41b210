"""Decisions, and nothing else: pure functions over frozen records, with the clock passed in."""
