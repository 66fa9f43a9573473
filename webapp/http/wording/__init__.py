"""How pages and commands put things into words."""
