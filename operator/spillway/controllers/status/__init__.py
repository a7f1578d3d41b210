"""Writes the status of Spillway's resources."""
