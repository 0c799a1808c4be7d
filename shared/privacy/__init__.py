"""Sealed fields, the keys that open them, and the table from logins to persons: docs/architecture.md, Privacy."""
