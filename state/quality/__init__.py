"""Data quality: how complete, valid, unique, fresh and consistent what is known of people is, kept as history."""
