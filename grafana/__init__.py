"""Grafana dashboards: Python builders, the JSON they make, and ways to look at it."""
