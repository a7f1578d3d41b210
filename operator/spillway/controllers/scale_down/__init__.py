"""Keeps stored deletion costs close to the scale-down order."""
