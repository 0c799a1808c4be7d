"""Work in a process of its own: what it has to say comes through a pipe, and its failure is ours."""

import fcntl
import gc
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from shared.errors import PermanentError, TransientError

#: Says one thing to whoever started the process; waits while nobody listens.
Say = Callable[[Any], None]


class Child:
    """A process that does `work(say, *arguments)`. Whoever starts it ends it."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe(duplex=False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # As much as an unprivileged process may have: else every piece goes through in 64 kB.
            fcntl.fcntl(theirs.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)
        # Forked: what the work holds (patterns, folds) need not be written down and read again.
        self._process = context.Process(target=_run, args=(self.pipe, theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def hear(self) -> Any:
        """The next thing it says; waits for it. Raises what stopped it."""
        try:
            said = self.pipe.recv()
        except EOFError:
            raise TransientError("a reading process died") from None
        if isinstance(said, Exception):
            raise said
        return said

    def end(self) -> None:
        """It is not needed any more."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _run(ours: Connection, theirs: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What was there before is shared with whoever started us, as long as nobody writes to it, as collecting would; and
    # there is nothing to collect: records refer to nothing that refers to them.
    gc.disable()
    gc.freeze()
    # Else it would keep its own pipe open, and wait for ever when whoever listens was killed.
    ours.close()
    try:
        work(theirs.send, *arguments)
    except (PermanentError, TransientError) as error:
        theirs.send(error)
    except BrokenPipeError:
        return
