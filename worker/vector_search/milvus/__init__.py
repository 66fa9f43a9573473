"""What is Milvus' own: collections, filters, indexes, the translation of its errors, and the guarded Milvus Lite."""
