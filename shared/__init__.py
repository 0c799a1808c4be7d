"""Code that all services share. It imports no service."""
