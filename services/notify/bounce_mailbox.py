"""Reads the mailbox that bounces go to, a Maildir: each mail is kept sealed with the other posts, then put aside."""

import asyncio
from pathlib import Path

from services.notify.channels.bounces import MAIL_LIMIT_BYTES
from services.notify.store.callbacks import CallbackStore
from shared.clock import utc_now
from shared.observability.logs import get_logger

#: The name under which bounces stand among the posts.
BOUNCE_PROVIDER = "mail"
BATCH = 500
POLL_SECONDS = 1.0

log = get_logger()


async def store_bounces(maildir: Path, callbacks: CallbackStore) -> int:
    """One look into `new/`; how many mails there were. First kept, then moved to `cur/`: a crash reads one again."""
    names = await asyncio.to_thread(_arrived, maildir)
    for name in names:
        content = await asyncio.to_thread(_read, maildir / "new" / name)
        if content is not None:
            await callbacks.keep(BOUNCE_PROVIDER, "receipt", content, utc_now())
            await asyncio.to_thread(_put_aside, maildir, name)
    return len(names)


async def run_bounce_reader(maildir: Path, callbacks: CallbackStore) -> None:
    """For ever. A folder that is away is waited for."""
    while True:
        try:
            taken = await store_bounces(maildir, callbacks)
        except OSError as error:
            log.warning("bounces_wait", error=type(error).__name__)
            taken = 0
        if not taken:
            await asyncio.sleep(POLL_SECONDS)


def _arrived(maildir: Path) -> list[str]:
    new = maildir / "new"
    return sorted(each.name for each in new.iterdir() if each.is_file())[:BATCH] if new.is_dir() else []


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAIL_LIMIT_BYTES)
    except FileNotFoundError:
        return None  # another process was faster


def _put_aside(maildir: Path, name: str) -> None:
    (maildir / "cur").mkdir(exist_ok=True)
    (maildir / "new" / name).rename(maildir / "cur" / f"{name.partition(':')[0]}:2,S")
