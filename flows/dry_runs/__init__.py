"""Dry runs: the real steps, done on the store and taken back, to see what they would change."""
