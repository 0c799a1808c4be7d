"""`passage`: the command line, the one place that knows all services and hands them to shared/."""

from services.passage.cli import main

__all__ = ["main"]
