"""Alert rules and how they are made."""
