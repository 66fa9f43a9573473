"""FaceSearchService: what the web calls. Sends tasks by name; imports no model and no Milvus."""
