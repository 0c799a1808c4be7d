"""Runs a function in a forked process. Its messages arrive through a pipe; an error there is raised in the parent."""

import fcntl
import gc
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from shared.errors import PermanentError, TransientError

#: Sends one message to the parent process; blocks while the pipe is full.
Send = Callable[[Any], None]


class Child:
    """A process that runs `work(send, *arguments)`. The parent must call `end()`."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe(duplex=False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # 1 MiB is the most that an unprivileged process may have; the default is 64 KiB.
            fcntl.fcntl(theirs.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)
        # Forked, so that compiled patterns and projections need not be pickled.
        self._process = context.Process(target=_run, args=(self.pipe, theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        """Wait for the next message. Raises the error that ended the process, or TransientError when it died."""
        try:
            message = self.pipe.recv()
        except EOFError:
            raise TransientError("a reading process died; run the command again") from None
        if isinstance(message, Exception):
            raise message
        return message

    def end(self) -> None:
        """Kill the process and close the pipe."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _run(ours: Connection, theirs: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Memory pages of the parent stay shared until they are written to, which a garbage collection would do. There is
    # nothing to collect either: records form no reference cycles.
    gc.disable()
    gc.freeze()
    # With its own reading end open, this process would not notice that the parent was killed, and block for ever.
    ours.close()
    try:
        work(theirs.send, *arguments)
    except (PermanentError, TransientError) as error:
        theirs.send(error)
    except BrokenPipeError:
        return
