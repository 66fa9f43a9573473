"""What runs inside worker processes: start and stop, reports, and the thin tasks."""
