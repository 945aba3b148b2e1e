"""What the source and the destination of one vendor both need to know of it, so that it stands in one place."""
