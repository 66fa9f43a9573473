"""Importing a folder: finding what is in it, accounting for all of it, and waiting for the outcomes."""
