"""The data plane's door: raw ASGI."""
