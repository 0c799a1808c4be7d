"""Sealed fields, the keys that open them, and the table from a login to its person."""
