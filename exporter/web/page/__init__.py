"""The status page and /api/v1."""
