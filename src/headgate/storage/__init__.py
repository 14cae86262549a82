"""The database: its session, its rows."""
