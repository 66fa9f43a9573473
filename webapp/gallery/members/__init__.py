"""Sharing a gallery: its members, and the invitations with which users become members."""
