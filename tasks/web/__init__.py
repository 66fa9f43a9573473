"""What webapp calls: searches, bulk work, results, and what is known of the queues."""
