"""W3C trace context, carried from the HTTP request through events to the mail. No SDK, no exporter."""

import random
import re

_TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")


def valid(traceparent: str | None) -> str | None:
    """The value when it is a valid traceparent, else None."""
    return traceparent if traceparent is not None and _TRACEPARENT.match(traceparent) else None


def new() -> str:
    """A traceparent of a new trace."""
    return f"00-{_hex(16)}-{_hex(8)}-01"


def child(traceparent: str | None) -> str:
    """The same trace with a span of our own; a new trace when there is none."""
    known = valid(traceparent)
    return f"{known[:36]}{_hex(8)}{known[52:]}" if known else new()


def trace_id(traceparent: str | None) -> str:
    """The trace's id, for logs; empty when there is none."""
    return traceparent[3:35] if traceparent else ""


def _hex(size_bytes: int) -> str:
    """Never all zero. Nobody is kept out by an id of a trace: it need not be hard to guess."""
    return f"{random.getrandbits(8 * size_bytes) or 1:0{2 * size_bytes}x}"
