"""What the pulled rows say about people: the vocabulary of the customer model, and the SQL that builds it."""
