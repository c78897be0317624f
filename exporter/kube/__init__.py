"""The cluster edge: credentials, requests, discovery, and the source that followers read."""
