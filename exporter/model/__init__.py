"""What the exporter knows about a cluster, and how the wire spells it."""
