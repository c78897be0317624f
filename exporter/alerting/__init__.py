"""Which alerts should fire, and keeping each Alertmanager told."""
