"""Which web pages elsewhere may ask from a browser: those on a list, which is empty unless it is configured."""

from collections.abc import Collection

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-Id, traceparent"
SHOWN = "API-Version, Deprecation, ETag, Location, Retry-After, Sunset, WWW-Authenticate, X-Request-Id, traceparent"
PREFLIGHT_SECONDS = 600


class Origins:
    """The list. No cookies are ever needed, so credentials are never allowed."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def headers(self, origin: str) -> dict[str, str]:
        """What an answer says to a browser."""
        if not self._allowed:
            return {}
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": SHOWN}

    def preflight(self, origin: str, wanted: str) -> dict[str, str] | None:
        """What a browser that asks beforehand is told; None: it gets no answer of that kind."""
        if not wanted or origin not in self._allowed:
            return None
        return {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": SENT,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
