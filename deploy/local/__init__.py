"""The stack on one machine, from packages alone."""
