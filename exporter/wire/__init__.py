"""How the wire spells what a cluster holds: pages, watch lines and Tables, decoded to the model."""
