"""Beat: what it sends and when."""
