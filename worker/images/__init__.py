"""Untrusted bytes -> an upright picture of bounded size. The only place that decodes."""
