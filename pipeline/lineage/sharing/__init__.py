"""Sending to a shared store, and bringing from there."""
