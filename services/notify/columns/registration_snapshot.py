"""A registration as a selection run reads it, packed into one JSON array: ten times as fast to read as its fields."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import orjson

from services.notify.model.whereabouts import Stay, Whereabouts

EPOCH = datetime.fromtimestamp(0, UTC)


class RegistrationSnapshot(NamedTuple):
    """What decides whether a registration's person is affected, and what the recipient columns need.

    `itinerary`: JSON of everything that decides except `since`. It is the same text for all who are in the same
    places on the same days, so it serves as the key of their common decision. `changed_at` and `since` (when each
    stay was added) are microseconds since 1970.
    """

    registration_id: str
    version: int
    person_id: str
    hash: int
    language: Literal["nl", "en"]
    changed_at: int
    itinerary: str
    since: Sequence[int]
    is_reachable: bool

    @classmethod
    def of(cls, where: Whereabouts, *, is_reachable: bool) -> "RegistrationSnapshot":
        """The snapshot of these whereabouts."""
        stays = [
            (
                stay.start_date, stay.end_date, stay.country, stay.region,
                microseconds(stay.since) if stay.imported else None,
            )
            for stay in where.stays
        ]  # fmt: skip
        itinerary = orjson.dumps((where.cancelled, where.ended, where.returned_on, stays)).decode()
        return cls(
            where.registration_id, where.version, where.person_id, where.hash, where.language,
            microseconds(where.changed_at), itinerary, [microseconds(stay.since) for stay in where.stays], is_reachable,
        )  # fmt: skip

    def whereabouts(self) -> Whereabouts:
        """What the rules read. Faculty, programme and former stays are not part of a snapshot."""
        cancelled, ended, returned_on, stays = orjson.loads(self.itinerary)
        return Whereabouts(
            registration_id=self.registration_id,
            version=self.version,
            person_id=self.person_id,
            hash=self.hash,
            cancelled=cancelled,
            language=self.language,
            faculty_id="",
            programme_id="",
            stays=tuple(
                Stay(
                    start_date=first,
                    end_date=last,
                    country=country,
                    region=region,
                    since=EPOCH + timedelta(microseconds=since),
                    imported=imported is not None,
                )
                for (first, last, country, region, imported), since in zip(stays, self.since, strict=True)
            ),
            changed_at=EPOCH + timedelta(microseconds=self.changed_at),
            ended=ended,
            returned_on=returned_on,
        )


def encode_snapshot(where: Whereabouts) -> bytes:
    """The snapshot as it is stored: without the registration's id and whether its person is reachable."""
    return orjson.dumps(RegistrationSnapshot.of(where, is_reachable=False)[1:-1])


def decode_snapshots(
    registration_ids: Sequence[str], packed: Sequence[bytes], reachable: Iterable[bool]
) -> list[RegistrationSnapshot]:
    """The snapshots that `encode_snapshot` packed, parsed in one go, with their ids and whether each is reachable."""
    rows = orjson.loads(b"[%b]" % b",".join(packed))
    return [
        RegistrationSnapshot._make((registration_id, *row, is_reachable))
        for registration_id, row, is_reachable in zip(registration_ids, rows, reachable, strict=True)
    ]


def microseconds(at: datetime) -> int:
    """Microseconds since 1970: exact, unlike the milliseconds of the database and unlike floats."""
    return (at - EPOCH) // timedelta(microseconds=1)
