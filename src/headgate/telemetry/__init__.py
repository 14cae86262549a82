"""Seen from outside: logs, metrics, traces."""
