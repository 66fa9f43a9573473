"""The tasks that open photos, and the one that removes their vectors."""
