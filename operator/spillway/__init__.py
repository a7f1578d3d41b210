"""Spillway: an operator that decides which node a replica runs on and which replica is deleted first."""

__version__ = "0.1.0"
