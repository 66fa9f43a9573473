"""What all API operations have in common."""
