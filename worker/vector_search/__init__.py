"""Where embeddings live: one contract (`interfaces`), Milvus behind it (`core`), and an exact stand-in (`memory`)."""
