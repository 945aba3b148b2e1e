"""What runs leave in Prefect's UI for people to read."""
