"""What a restart must not lose: captured from the state, written durably, put back."""
