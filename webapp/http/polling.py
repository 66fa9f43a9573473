"""Polling with htmx."""

#: htmx stops polling when it reads this status.
STOP_POLLING = 286
