"""Where embeddings are stored: a contract (`interfaces`), Milvus behind it (`core`), and an in-memory store."""
