"""CORS: browsers may call the API from the pages of configured origins only (`WEB_ORIGINS`; none by default)."""

from collections.abc import Collection

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT = "Authorization, Content-Type, Idempotency-Key, If-Match, X-Request-Id, traceparent"
SHOWN = "API-Version, Deprecation, ETag, Location, Retry-After, Sunset, WWW-Authenticate, X-Request-Id, traceparent"
PREFLIGHT_SECONDS = 600


class Origins:
    """The allowed origins. The API uses no cookies, so credentials are never allowed."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def headers(self, origin: str) -> dict[str, str]:
        """CORS headers of an answer to this origin."""
        if not self._allowed:
            return {}
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": SHOWN}

    def preflight(self, origin: str, method: str) -> dict[str, str] | None:
        """Headers of the answer to a preflight; None: it is no preflight, or the origin is not allowed."""
        if not method or origin not in self._allowed:
            return None
        return {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": SENT,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
