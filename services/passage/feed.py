"""`passage feed`: services never import each other, so what the back-test needs of the others is handed in here."""

from services.passage.rehearsal import Rehearsal
from services.safety.command import feed

feed.info.context_settings = {"obj": Rehearsal}

__all__ = ["feed"]
