"""The metrics that Spillway exports."""
