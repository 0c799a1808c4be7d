"""Names of lease holders. Host, process and a random part make each unique, whatever the settings say.

A name also tells, on the holder's own machine, whether that process has ended: its leases need not run out first.
"""

import os
import secrets
import socket
from functools import cache
from pathlib import Path

#: States of a process in Linux that has ended: it waits for its parent, or is being removed.
_ENDED_STATES = ("Z", "X", "x")


def new_holder(label: str = "") -> str:
    """A new name: `label|machine|process id|its start|random part`. The label is for people alone."""
    pid = os.getpid()
    return "|".join((label, _machine(), str(pid), _start(pid) or "", secrets.token_hex(8)))


def has_ended(holder: str) -> bool:
    """Whether this was a process of this machine that has ended. False where that cannot be told from here."""
    parts = holder.split("|")
    if len(parts) != 5 or not parts[2].isdigit() or not parts[3]:
        return False
    _, machine, pid, start, _ = parts
    return machine == _machine() and _start(int(pid)) != start


def described(holder: str) -> str:
    """For people: `process 17 on host-1`."""
    parts = holder.split("|")
    return f"process {parts[2]} on {parts[1].partition('/')[0]}" if len(parts) == 5 else "another process"


@cache
def _machine() -> str:
    """Host, boot and the namespace of process ids: only there does a process id name the same process.

    After a restart a container has the same host name, and process 1 is another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = namespace = ""  # no Linux: `_start` finds no process either
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _start(pid: int) -> str | None:
    """When the process began, in clock ticks since boot; None when there is no such process."""
    try:
        # Behind the name, which may hold spaces and brackets: the state is the first field, the start the twentieth.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _ENDED_STATES else fields[19]
