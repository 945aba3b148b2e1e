"""Models that learn from what people did what they may do next."""
