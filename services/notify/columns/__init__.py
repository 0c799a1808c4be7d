"""Packed forms, for speed: documents and events as columns. Each has its encode and decode here, and nowhere else."""
