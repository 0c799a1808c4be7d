"""`passage audit`: hands the stream folds of all services to shared/audit, imported only when a command needs them."""

from importlib import import_module

from shared.audit.cli import build
from shared.audit.projections import Fold, Rebuild


def _folds() -> tuple[Fold, ...]:
    folds: tuple[Fold, ...] = import_module("services.passage.stream_folds").STREAM_FOLDS
    return folds


async def _open_shadow() -> Rebuild:
    """Open the shadow database; only `diff` uses MongoDB."""
    opened: Rebuild = await import_module("services.passage.rebuild").open_shadow()
    return opened


audit = build(_folds, _open_shadow)
