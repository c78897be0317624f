"""Read a cluster, or files, once."""
