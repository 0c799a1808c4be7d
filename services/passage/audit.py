"""`passage audit`, with the folds of all services in its hands."""

from importlib import import_module

from services.passage.folds import FOLDS
from shared.audit.command import build
from shared.audit.folds import Rebuild


async def _open_shadow() -> Rebuild:
    """Only `diff` reaches MongoDB; nobody else waits for its driver."""
    opened: Rebuild = await import_module("services.passage.rebuild").open_shadow()
    return opened


audit = build(FOLDS, _open_shadow)
