"""Spillway: elastic capacity for Kubernetes that nobody feels."""

__version__ = "0.1.0"
