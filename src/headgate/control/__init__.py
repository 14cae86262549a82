"""The control plane's door: FastAPI."""
