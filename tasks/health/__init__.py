"""Is the service well? Workers' reports, canaries, queues, latency and metrics."""
