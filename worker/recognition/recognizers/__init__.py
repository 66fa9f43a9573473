"""Recognizers, one file per architecture: aligned crops in, embeddings out."""
