"""Where to send it: a model's name becomes a plan of targets."""
