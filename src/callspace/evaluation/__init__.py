"""Judging embeddings: structure, use, the separation of background, and how certain each number is."""
