"""The wire out: the only place that talks to providers' servers."""
