"""Connectors to a vendor that does not exist."""
