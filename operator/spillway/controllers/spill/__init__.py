"""Spill and bring-back: waiting pods change sides, and virtual replicas are brought back."""
