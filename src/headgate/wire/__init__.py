"""What travels: public formats as pure functions of bytes."""
