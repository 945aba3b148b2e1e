"""What was delivered: the journal of what was attempted, and the acknowledged state it settles into."""
