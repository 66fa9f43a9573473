"""Generations that are searched: their match recall, changes of their search parameters, and what health says."""
