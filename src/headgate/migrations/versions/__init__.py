"""One file a change, named for its number: the highest is the head."""
