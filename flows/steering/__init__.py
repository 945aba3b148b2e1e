"""What people decide by hand: who is who, whom nobody may address; and the rows that wait for somebody to act."""
