"""Packed forms: what is stored or published as columns for speed, each with its encode and decode."""
