"""TCP options of a connection that is kept open: a peer that is gone without a word is noticed within a minute.

A firewall or an address translator that restarts, or forgets a connection that was idle, drops its packets silently.
"""

import socket

#: Idle for this long, the kernel asks the peer, which also keeps firewalls from forgetting; then again and again.
FIRST_PROBE_SECONDS, PROBE_SECONDS, PROBES = 30, 10, 3
#: Sent bytes that nobody acknowledges for this long end the connection. Linux alone knows it.
UNACKNOWLEDGED_SECONDS = FIRST_PROBE_SECONDS + PROBES * PROBE_SECONDS

#: An operating system without one of these options keeps its own default.
_OPTIONS = {
    "TCP_KEEPIDLE": FIRST_PROBE_SECONDS,
    "TCP_KEEPINTVL": PROBE_SECONDS,
    "TCP_KEEPCNT": PROBES,
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED_SECONDS * 1_000,
}


def keep_alive(connection: socket.socket) -> None:
    """Set the options on an open TCP connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
