"""From state to the bytes of /metrics."""
