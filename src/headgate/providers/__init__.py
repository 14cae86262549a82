"""Who answers: one file a service, facts before methods, no network code."""
