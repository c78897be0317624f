"""The ``snapshot`` command: read a cluster or files once, print or judge what was found."""
