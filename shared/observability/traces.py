"""W3C trace context, passed from the HTTP request through the events to the message. No SDK, no exporter."""

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
    """The same trace with a new span; a new trace when there is none."""
    parent = valid(traceparent)
    return f"{parent[:36]}{_hex(8)}{parent[52:]}" if parent else new()


def trace_id(traceparent: str | None) -> str:
    """The trace's id, for logs; empty without a trace."""
    return traceparent[3:35] if traceparent else ""


def _hex(size_bytes: int) -> str:
    """Random hex digits, never all zero. A trace id protects nothing, so it may be easy to guess."""
    return f"{random.getrandbits(8 * size_bytes) or 1:0{2 * size_bytes}x}"
