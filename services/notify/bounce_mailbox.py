"""Reads the Maildir that bounces are delivered into, and stores each mail, sealed, with the providers' callbacks.

`app.py` runs it in one process at a time when BOUNCE_MAILDIR is set. A mail moves to `cur/` only after it is stored, so
a crash makes it be read again, and the store ignores the repeat. The callback worker processes it.
"""

import asyncio
from functools import partial
from pathlib import Path

from services.notify.channels.bounces import MAIL_LIMIT_BYTES
from services.notify.store.callbacks import MAIL_PROVIDER, CallbackStore
from shared.clock import utc_now
from shared.observability.logs import get_logger
from shared.set_aside import SetAside
from shared.transient import reason_of

#: The provider name of bounces among the stored callbacks.
BOUNCE_PROVIDER = MAIL_PROVIDER
#: The kind of a mail among the objects that are set aside.
KIND = "bounce"
BATCH_SIZE = 500
POLL_SECONDS = 1.0

log = get_logger()


async def run_bounce_reader(maildir: Path, callbacks: CallbackStore, set_aside: SetAside) -> None:
    """Store bounces until cancelled. If the folder or MongoDB does not answer, wait and try again."""
    while True:
        try:
            stored = await store_bounces(maildir, callbacks, set_aside)
        except Exception as error:
            log.warning("bounces_wait", error=type(error).__name__, reason=reason_of(error))
            stored = 0
        if not stored:
            await asyncio.sleep(POLL_SECONDS)


async def store_bounces(maildir: Path, callbacks: CallbackStore, set_aside: SetAside) -> int:
    """Store the mails in `new/`, then move them to `cur/`; how many. A file that cannot be read stops no other."""

    async def store(name: str) -> None:
        content = await asyncio.to_thread(_read, maildir / "new" / name)
        if content is not None:
            await callbacks.store(BOUNCE_PROVIDER, "receipt", content, utc_now())
            await asyncio.to_thread(_move_to_cur, maildir, name)

    names = [name for name in await asyncio.to_thread(_new_mails, maildir) if set_aside.is_due(KIND, name)][:BATCH_SIZE]
    return sum([await set_aside.attempt(KIND, name, partial(store, name)) for name in names])


def _new_mails(maildir: Path) -> list[str]:
    new = maildir / "new"
    return sorted(path.name for path in new.iterdir() if path.is_file()) if new.is_dir() else []


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAIL_LIMIT_BYTES)
    except FileNotFoundError:
        return None  # another process has moved it


def _move_to_cur(maildir: Path, name: str) -> None:
    (maildir / "cur").mkdir(exist_ok=True)
    (maildir / "new" / name).rename(maildir / "cur" / f"{name.partition(':')[0]}:2,S")
