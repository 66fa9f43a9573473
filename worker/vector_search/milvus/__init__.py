"""Everything specific to Milvus: collections, rows, filters, indexes, error translation, the guarded Milvus Lite."""
