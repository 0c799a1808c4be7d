"""`passage`, the command line. The only package that knows all services; it hands their functions to shared/."""

from services.passage.cli import main

__all__ = ["main"]
