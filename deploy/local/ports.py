"""The ports of the local stack, and which process holds a port that is not free."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields

import psutil

from deploy.local.errors import LocalStackError

HOST = "127.0.0.1"
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1. `<FIELD>_PORT` in the environment sets one, such as `KAFKA_PORT`."""

    kafka: int = 29092
    kafka_controller: int = 29093
    mongod: int = 27117
    inbox: int = 2525
    inbox_control: int = 2526
    sms: int = 8025
    feed: int = 8026
    approval: int = 8001
    registration: int = 8002
    safety: int = 8003
    notify: int = 8004
    gateway: int = 8080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """The default ports, replaced by those of the environment. Raises LocalStackError for an invalid port."""
        chosen: dict[str, int] = {}
        for field in fields(cls):
            name = f"{field.name.upper()}_PORT"
            text = environment.get(name, "").strip()
            if not text:
                continue
            if not text.isdecimal() or not 0 < int(text) < 65_536:
                raise LocalStackError(f"{name} is {text!r}: give a port number between 1 and 65535.")
            chosen[field.name] = int(text)
        return cls(**chosen)

    @classmethod
    def free(cls) -> "Ports":
        """Ports that are free now."""
        sockets = [socket.socket() for _ in fields(cls)]
        try:
            for opened in sockets:
                opened.bind((HOST, 0))
            return cls(*(opened.getsockname()[1] for opened in sockets))
        finally:
            for opened in sockets:
                opened.close()


def is_open(port: int) -> bool:
    """Whether a process accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def is_free(port: int) -> bool:
    """Whether a program could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def wait_free(port: int, name: str) -> None:
    """Wait until the port is free. Raises LocalStackError naming its holder when it stays taken."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_free(port):  # a killed process releases its sockets a moment after it has ended
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"Port {port} for {name} is held by {holder(port)}: stop that, or set {name.upper()}_PORT to another."
            )
        time.sleep(0.05)


def holder(port: int) -> str:
    """The process that listens on this port, as `nginx (process 123)`; "another program" if it is not visible."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # processes of other users on some platforms
        return "another program"
    for connection in connections:
        local = connection.laddr
        if local and local.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                break
    return "another program"
