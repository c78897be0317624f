"""Prometheus exporter and alerting sidecar for Kubernetes policy engines."""

__version__ = "0.1.0"
