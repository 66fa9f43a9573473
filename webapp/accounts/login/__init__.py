"""Logging in with a password: how often it may be tried, where it is hashed, and which browsers are known."""
