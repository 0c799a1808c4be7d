"""The server's side of a connection, with bounds: uvicorn's own protocol has none before a request has begun.

A caller has ten seconds for the head of a request, silent or not; a process holds a bounded number of connections; a
request whose length is told in two ways is refused, because a proxy may have believed the other one. What the server
answers by itself is a problem, as every other answer. The server is started with
`--http shared.web.http_protocol:BoundedProtocol`.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.web.limits import SECURITY_HEADERS
from shared.web.problem import Problem


class _StrictConnection(h11.Connection):
    """As h11, which lets Transfer-Encoding win over Content-Length. The gateway refuses both, too (RFC 9112 §6.1)."""

    def next_event(self) -> Any:
        """The next event. Raises RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request) and {b"content-length", b"transfer-encoding"} <= {
            name for name, _ in event.headers
        }:
            raise h11.RemoteProtocolError("Content-Length with Transfer-Encoding")
        return event


class BoundedProtocol(H11Protocol):
    """One connection."""

    #: The gateway sends a head at once; a caller on a bad line needs a second or two.
    head_seconds = 10.0
    #: Fewer than the 1,024 files that a process may open on most systems.
    max_connections = 800

    def __init__(self, *arguments: Any, **named_arguments: Any) -> None:
        super().__init__(*arguments, **named_arguments)
        self.conn = _StrictConnection(h11.SERVER)
        self._waits_since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting_for_a_head(self) -> bool:
        """Whether no request is in progress."""
        return bool(self.conn.their_state is h11.IDLE)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a new connection, or refuse it."""
        if len(self.connections) >= self.max_connections and not self._made_room():
            transport.write(_answer(Problem(503, "Too many connections: try again.", headers={"Retry-After": "5"})))
            transport.close()
            self.transport = transport
            return
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that do not complete a head gain no time."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The connection may carry a further request, whose first bytes may be here already."""
        self._waits_since = self.loop.time()
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._watch_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP, and close. `msg` is uvicorn's own text."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(Problem(400, "This is no valid HTTP request.", type_="invalid-request")))
        self.transport.close()

    def _made_room(self) -> bool:
        """Close the connection that has waited longest without a request in progress. False: there is none."""
        connections = (connection for connection in self.connections if isinstance(connection, BoundedProtocol))
        waiting = [
            connection
            for connection in connections
            if connection.is_waiting_for_a_head and not connection.transport.is_closing()
        ]
        longest = min(waiting, key=lambda connection: connection._waits_since, default=None)
        if longest is not None:
            longest.transport.close()
        return longest is not None

    def _watch_head(self) -> None:
        if not self.is_waiting_for_a_head:
            self._stop_head_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self._end_waiting)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_waiting(self) -> None:
        """The head did not come in time: say so to a caller who has begun one, and close."""
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self.transport.write(
                _answer(Problem(408, f"The head of the request did not arrive within {self.head_seconds:g} s."))
            )
        self.transport.close()


def _answer(problem: Problem) -> bytes:
    """The whole HTTP answer; it ends the connection."""
    response = problem.response()
    headers = {**SECURITY_HEADERS, **dict(response.headers), "connection": "close"}
    lines = [f"HTTP/1.1 {problem.status} {problem.body()['title']}", *(f"{key}: {headers[key]}" for key in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + bytes(response.body)
