"""A journal: one JSON line for each occurrence that a counter counts."""
