"""The numbers behind the metrics, exact under every change."""
