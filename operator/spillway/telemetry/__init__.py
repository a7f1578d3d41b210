"""The metrics that Spillway exports: one module for each feature, all in one registry."""
