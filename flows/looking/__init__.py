"""What a project knows, for people who ask. Nothing is computed anew, and nothing written."""
