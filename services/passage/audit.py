"""`passage audit`, with the folds of all services at hand. What a command does not need it does not wait for."""

from importlib import import_module

from shared.audit.cli import build
from shared.audit.projections import Fold, Rebuild


def _folds() -> tuple[Fold, ...]:
    folds: tuple[Fold, ...] = import_module("services.passage.projections.streams").FOLDS
    return folds


async def _open_shadow() -> Rebuild:
    """Only `diff` reaches MongoDB."""
    opened: Rebuild = await import_module("services.passage.rebuild").open_shadow()
    return opened


audit = build(_folds, _open_shadow)
