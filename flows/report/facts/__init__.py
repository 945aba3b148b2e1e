"""What the report tells, read from the store and the journal; one module for each part, with exact counts."""
