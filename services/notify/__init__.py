"""The notify service: knows where people are, alerts those affected, and tracks every message and answer."""
