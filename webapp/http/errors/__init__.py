"""Errors: which Problem each kind is, and how it is answered to a program or shown to a person."""
