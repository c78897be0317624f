"""Which alerts should fire, and their delivery to each Alertmanager."""
