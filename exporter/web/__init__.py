"""The HTTP edge: metrics, health and status, over TLS and behind credentials when asked."""
