"""From images to faces with embeddings."""
