"""Computed traits: what follows from what somebody did, one file a set."""
