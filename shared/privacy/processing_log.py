"""The processing log: who read personal data of others, of how many, and of whom where it was one person."""

from collections.abc import Collection

from shared.observability.logs import get_logger

log = get_logger()


def log_personal_data_read(kind: str, reader: str, persons: Collection[str], **context: str) -> None:
    """Write one line for one act of reading; none where a person read only their own data.

    `reader` and `persons` are personIds. `context`: further fields that a log may hold, for example a country.
    """
    others = {person for person in persons if person != reader}
    if persons and not others:
        return
    about = {"about": next(iter(others))} if len(others) == 1 else {}
    log.info("personal_data_read", kind=kind, person_id=reader, count=len(others), **about, **context)
