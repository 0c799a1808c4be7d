"""The process that parses what a source sent. `feed_parser.py` starts it, and is told before each text is read.

The first line says that it is ready. A request is a line of JSON and the pages. Before each text an answer says which
one is read; the last answer is the result, or why the whole is rejected. Anything else that happens ends the process.
"""

import contextlib
import hashlib
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any, BinaryIO

import orjson

from services.safety.reading import Batch, BatchRejected
from services.safety.sources import cap
from services.safety.sources.documents import is_readable
from services.safety.sources.registry import SOURCES

#: CPU seconds for one text, and for all the rest of an answer. A text takes some milliseconds.
TEXT_SECONDS, WHOLE_SECONDS = 5, 30
MEMORY_BYTES = 600_000_000


def main() -> None:
    """Answer requests until the service closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends this process, also when a person ends the service
    _limit_memory()
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Only answers may stand in the pipe.
    os.dup2(2, 1)
    _answer(answers, {"ready": True})
    while line := requests.readline():
        request = orjson.loads(line)
        pages = [requests.read(length) for length in request["pages"]]
        _limit_cpu(WHOLE_SECONDS)
        try:
            result = _parse(request, pages, answers).model_dump_json().encode()
        except BatchRejected as rejected:
            _answer(answers, {"rejected": str(rejected)})
            continue
        _answer(answers, {"bytes": len(result)}, result)


def _parse(request: dict[str, Any], pages: list[bytes], answers: BinaryIO) -> Batch | cap.CapDocument:
    if request["source"] not in SOURCES:
        return cap.parse_document(pages[0])
    unreadable: Collection[str] = frozenset(request["unreadable"])

    def may_read(text: str) -> bool:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if not is_readable(text) or digest in unreadable:
            return False
        _answer(answers, {"reads": digest})
        _limit_cpu(TEXT_SECONDS)
        return True

    now = datetime.fromisoformat(request["now"])
    return SOURCES[request["source"]].parse(pages, now, floor=request["floor"], may_read=may_read)


def _answer(answers: BinaryIO, answer: dict[str, Any], content: bytes = b"") -> None:
    answers.write(orjson.dumps(answer) + b"\n" + content)
    answers.flush()


def _limit_cpu(seconds: int) -> None:
    """End this process when it used so many more seconds of CPU time."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, hard))


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main()
