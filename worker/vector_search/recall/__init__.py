"""What approximate search misses: exact search, and match recall as measured by the gate and in live searches."""
