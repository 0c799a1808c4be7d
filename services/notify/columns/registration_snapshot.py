"""A registration as a selection run reads it: packed into one JSON array, so that a million are read in seconds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import orjson

from services.notify.model.whereabouts import Stay, Whereabouts

EPOCH = datetime.fromtimestamp(0, UTC)


class RegistrationSnapshot(NamedTuple):
    """A registration as a pass looks at it. `places`, all that decides but `since`, is the same JSON for all who are
    in the same places on the same days. `changed_at` and `since` (one for each stay): microseconds since 1970.
    """

    registration_id: str
    version: int
    person_id: str
    hash: int
    language: Literal["nl", "en"]
    changed_at: int
    places: str
    since: Sequence[int]
    is_reachable: bool

    @classmethod
    def of(cls, where: Whereabouts, *, is_reachable: bool) -> "RegistrationSnapshot":
        """What a pass sees of these whereabouts."""
        stays = [
            (each.start_date, each.end_date, each.country, each.region, micros(each.since) if each.imported else None)
            for each in where.stays
        ]
        return cls(
            where.registration_id, where.version, where.person_id, where.hash, where.language,
            micros(where.changed_at), orjson.dumps((where.cancelled, where.ended, where.returned_on, stays)).decode(),
            [micros(each.since) for each in where.stays], is_reachable,
        )  # fmt: skip

    def whereabouts(self) -> Whereabouts:
        """Back to what the rules read; who studies what, and former stays, are not in it."""
        cancelled, ended, returned_on, stays = orjson.loads(self.places)
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


def micros(at: datetime) -> int:
    """Microseconds since 1970: exact, which milliseconds of the database and floats are not."""
    return (at - EPOCH) // timedelta(microseconds=1)
