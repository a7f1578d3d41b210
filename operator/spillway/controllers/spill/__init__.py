"""Spills waiting pods, and brings virtual replicas back."""
