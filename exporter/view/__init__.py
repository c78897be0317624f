"""What people look at, as plain values computed from the state: page, API and snapshots."""
