"""Messages, one file per conversation between web, workers and records worker."""
