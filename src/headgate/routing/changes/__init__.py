"""Routes that are changed at run time: versions of what is laid over the settings, followed by every process."""
