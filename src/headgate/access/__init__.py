"""Who may ask: callers, their keys, and the one gate that admits."""
