"""What notify knows, folded from events: who is where, and what became of each delivery. Frozen and pure."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple

import orjson
from pydantic import Field

from shared.events import (
    Channel,
    Event,
    Identifier,
    Leg,
    NotificationsAccepted,
    NotificationsDelivered,
    NotificationsFailed,
    NotificationsUnknown,
    OutcomeEvent,
    Part,
    RegistrationCancelled,
    RegistrationEvent,
    RegistrationSubmitted,
    ReturnRecorded,
    StayContactUpdated,
    StayEnded,
)

#: resolve(country, place as written) -> ISO 3166-2, or None where it is not sure (R16)
Resolve = Callable[[str, str], str | None]

HASH_BITS = 32
#: So many people fit into one event, however long their places' names and a provider's words are.
MOST_ENTRIES = 250


def digest(identity: str) -> bytes:
    """Twelve bytes instead of an id, the same on every machine; those of persons are in the order of their hashes."""
    return hashlib.sha256(identity.encode()).digest()[:12]


def person_hash(person_id: str) -> int:
    """Where a person stands on the ring of 2^32: the first four bytes of SHA-256. The same on every machine."""
    return int.from_bytes(digest(person_id)[:4], "big")


def shard_of(hash_: int, shard_count: int) -> int:
    """The shard of a hash: shards are equal ranges of it (docs/decisions/0004-shards-are-ranges.md)."""
    return hash_ * shard_count >> HASH_BITS


def shard_range(shard: int, shard_count: int) -> tuple[int, int]:
    """First hash of a shard, and first hash after it."""
    size = 1 << HASH_BITS
    return -(-shard * size // shard_count), -(-(shard + 1) * size // shard_count)


# ---------------------------------------------------------------- who is where


class Stay(Part):
    """One leg as notify needs it. `since`: when it first stood in the registration."""

    start_date: date
    end_date: date
    country: str
    region: str | None = Field(description="ISO 3166-2, given or resolved from the place")
    given_region: str | None = None
    place: str | None = None
    since: datetime
    imported: bool = Field(default=False, description="Taken over from another portal when it first stood there")

    def is_same_leg(self, leg: Leg) -> bool:
        """The same place and days; whether it is stayed in or travelled through makes nobody a newcomer."""
        return (self.start_date, self.end_date, self.country, self.given_region, self.place) == (
            leg.start_date,
            leg.end_date,
            leg.country,
            leg.region,
            leg.place,
        )


class Whereabouts(Part):
    """One registration as notify needs it: where its person is and when."""

    registration_id: Identifier
    version: int
    person_id: Identifier
    hash: int
    cancelled: bool
    language: Literal["nl", "en"]
    faculty_id: str
    programme_id: str
    stays: tuple[Stay, ...]
    former: tuple[Stay, ...] = Field(default=(), description="Legs that were there once: coming back is not new")
    changed_at: datetime
    ended: bool = Field(default=False, description="Its last day has passed: overdue until a return is recorded")
    returned_on: date | None = Field(default=None, description="Back since then, Amsterdam date")

    @property
    def is_overdue(self) -> bool:
        """R26: the stay is over and nobody said that the person is back."""
        return self.ended and self.returned_on is None

    @property
    def last_day(self) -> date:
        """The last day of the itinerary."""
        return max(stay.end_date for stay in self.stays)


EPOCH = datetime.fromtimestamp(0, UTC)


class Seen(NamedTuple):
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
    def of(cls, where: Whereabouts, *, is_reachable: bool) -> "Seen":
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


FORMER_STAYS = 100


def evolve_whereabouts(
    state: Whereabouts | None, event: RegistrationEvent, version: int, at: datetime, resolve: Resolve
) -> Whereabouts | None:
    """The whereabouts after a fact; None while no submission is known. An older fact changes nothing."""
    if state is not None and version <= state.version:
        return state
    if isinstance(event, RegistrationSubmitted):  # a RegistrationChanged too
        return _filed(state, event, version, at, resolve)
    if state is None:
        return None
    change: dict[str, object] = {"version": version}
    match event:
        case RegistrationCancelled():
            change |= {"cancelled": True, "changed_at": at}
        case StayContactUpdated():
            change |= {"changed_at": at}
        case StayEnded():
            change |= {"ended": True}
        case ReturnRecorded():
            # Whoever stays, is elsewhere, or of whom nothing is known is not back: a return said before is taken back.
            change |= {"returned_on": event.on if event.outcome == "returned" else None}
    return state.model_copy(update=change)


def _filed(
    state: Whereabouts | None, event: RegistrationSubmitted, version: int, at: datetime, resolve: Resolve
) -> Whereabouts:
    known = (*state.stays, *state.former) if state else ()
    stays = []
    for leg in event.legs:
        met = next((stay for stay in known if stay.is_same_leg(leg)), None)
        stays.append(
            Stay(
                start_date=leg.start_date,
                end_date=leg.end_date,
                country=leg.country,
                region=leg.region or (resolve(leg.country, leg.place) if leg.place else None),
                given_region=leg.region,
                place=leg.place,
                since=met.since if met else at,
                imported=met.imported if met else event.imported,
            )
        )
    # The same places and days under a new telephone number: what is known of the return stays.
    unmoved = state is not None and all(any(stay.is_same_leg(leg) for stay in state.stays) for leg in event.legs)
    gone = tuple(stay for stay in known if not any(stay.is_same_leg(leg) for leg in event.legs))
    return Whereabouts(
        registration_id=event.registration_id,
        version=version,
        person_id=event.person_id,
        hash=person_hash(event.person_id),
        cancelled=False,
        language=event.language,
        faculty_id=event.faculty_id,
        programme_id=event.programme_id,
        stays=tuple(stays),
        former=gone[:FORMER_STAYS],
        changed_at=at,
        ended=state.ended if state and unmoved else False,
        returned_on=state.returned_on if state and unmoved else None,
    )


# ---------------------------------------------------------------- deliveries


class DeliveryState(StrEnum):
    """What is known of one message to one person over one channel."""

    CREATED = "created"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PENDING = "pending"
    SENT_NO_RECEIPT = "sent_no_receipt"
    TECHNICAL_FAILURE = "technical_failure"
    INVALID = "invalid"
    TEMPORARY_FAILURE = "temporary_failure"
    FAILED = "failed"
    DELIVERED = "delivered"


#: Definitely not delivered, as far as anybody knows: the next step of the ladder need not wait.
FAILURES = frozenset(
    {
        DeliveryState.TECHNICAL_FAILURE,
        DeliveryState.INVALID,
        DeliveryState.TEMPORARY_FAILURE,
        DeliveryState.FAILED,
    }
)

#: How much each state knows: what is said later in this list is not taken back by what stands before it.
_KNOWING = tuple(DeliveryState)

#: From → to. What is not here is kept in the history and changes nothing: receipts come late, twice and in any order.
#: Only upwards, so that the end does not depend on the order; unknown may become unknown again (sent again).
TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    state: frozenset(_KNOWING[number + 1 :]) | ({state} & {DeliveryState.UNKNOWN})
    for number, state in enumerate(_KNOWING)
}

OUTCOMES: Mapping[type[Event], DeliveryState] = {
    NotificationsAccepted: DeliveryState.ACCEPTED,
    NotificationsDelivered: DeliveryState.DELIVERED,
    NotificationsFailed: DeliveryState.FAILED,
    NotificationsUnknown: DeliveryState.UNKNOWN,
}

#: What an event of each kind may say more exactly in an entry's `detail`; anything else is as if nothing were said.
DETAILS: Mapping[type[Event], Mapping[str, DeliveryState]] = {
    NotificationsAccepted: {
        "pending": DeliveryState.PENDING,
        "no_receipt": DeliveryState.SENT_NO_RECEIPT,
    },
    NotificationsFailed: {
        "temporary": DeliveryState.TEMPORARY_FAILURE,
        "technical": DeliveryState.TECHNICAL_FAILURE,
        "invalid": DeliveryState.INVALID,
        "cancelled": DeliveryState.CANCELLED,
    },
}


def delivery_id(alert_id: str, who: str, channel: Channel, step: int = 1) -> str:
    """R27: one message per (alert, person, channel, step)."""
    return f"{alert_id}:{who}:{channel.value}:{step}"


def step_of(delivery: str) -> int:
    """The step of a delivery's id."""
    return int(delivery.rpartition(":")[2])


def reference(delivery: str) -> str:
    """What a provider gets as our reference: 32 hex digits, the same at every attempt, and nothing to learn from."""
    return hashlib.sha256(delivery.encode()).hexdigest()[:32]


#: Of what was said of a delivery so much is kept: a provider may say the same for ever.
HISTORY_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that was said of a delivery; `counted` is false where the table has no such transition."""

    event_id: str
    state: DeliveryState
    at: datetime
    reason: str
    counted: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one person over one channel: the fold of what was said of it.

    `resends`: how often it was sent again after unknown. `unknown_since` is None when it is not, or no longer, to be
    resolved.
    """

    delivery_id: str
    alert_id: str
    shard: int
    person_id: str | None
    registration_id: str | None
    channel: Channel
    state: DeliveryState
    attempts: int = 0
    resends: int = 0
    unknown_since: datetime | None = None
    history: tuple[Turn, ...] = ()

    def after(self, event_id: str, state: DeliveryState, at: datetime, reason: str, attempt: int) -> "Delivery":
        """The delivery after something was said of it; the same event twice changes nothing."""
        if any(turn.event_id == event_id for turn in self.history):
            return self
        counted = state in TRANSITIONS[self.state]
        turn = Turn(event_id, state, at, reason, counted)
        history = (*self.history, turn)
        if len(history) > HISTORY_LIMIT:
            # What did not count goes first: what counted says how it came to be as it is.
            idle = next((number for number, each in enumerate(history) if not each.counted), 0)
            history = history[:idle] + history[idle + 1 :]
        unknown_since = self.unknown_since
        if counted:
            unknown_since = at if state is DeliveryState.UNKNOWN else None
        return Delivery(
            self.delivery_id, self.alert_id, self.shard, self.person_id, self.registration_id, self.channel,
            state if counted else self.state, max(self.attempts, attempt), self.resends, unknown_since, history,
        )  # fmt: skip


class Said(NamedTuple):
    """What one fact says of one delivery."""

    delivery_id: str
    person_id: str | None
    registration_id: str | None
    channel: Channel
    state: DeliveryState
    at: datetime
    reason: str
    attempt: int


def said_state(event: type[Event], detail: str) -> DeliveryState:
    """The state that an entry of an outcome event speaks of."""
    return DETAILS.get(event, {}).get(detail, OUTCOMES[event])


def said_by(event: OutcomeEvent) -> list[Said]:
    """What an outcome event says, delivery by delivery."""
    kind = type(event)
    return [
        Said(
            each.delivery_id, each.person_id, each.registration_id, each.channel, said_state(kind, each.detail),
            each.at, each.reason, each.attempt,
        )
        for each in event.entries
    ]  # fmt: skip


def outcomes(event_id: str, event: OutcomeEvent, known: Mapping[str, Delivery]) -> list[Delivery]:
    """The deliveries after an outcome event; those it does not change are not in the answer."""
    changed = []
    for each in said_by(event):
        former = known.get(each.delivery_id) or Delivery(
            each.delivery_id, event.alert_id, event.shard, each.person_id, each.registration_id, each.channel,
            DeliveryState.CREATED,
        )  # fmt: skip
        after = former.after(event_id, each.state, each.at, each.reason, each.attempt)
        if after is not former:
            changed.append(after)
    return changed


# ---------------------------------------------------------------- answers


AnswerWord = Literal["safe", "help", "wrong_person"]


class Given(Part):
    """One answer as it was given. `known_at`: when we learned of it, which orders answers from different senders."""

    event_id: str
    answer: AnswerWord
    via: Literal["link", "sms", "officer"]
    at: datetime
    known_at: datetime | None = None
    verified: bool = Field(default=True, description="False: by a link within seconds of the message, as scanners do")

    @property
    def learned(self) -> tuple[datetime, str]:
        """In which order answers count; the same whatever order they were folded in."""
        return (self.known_at or self.at, self.event_id)


def standing_answer(given: Sequence[Given]) -> AnswerWord | None:
    """What counts of all that was answered: whoever asked for help needs it until a human has spoken to them.

    What an officer wrote down of a call wins over what came before it; help that is asked for later wins again.
    """
    ordered = sorted(given, key=lambda each: each.learned)
    calls = [number for number, each in enumerate(ordered) if each.via == "officer"]
    spoken = ordered[calls[-1]].answer if calls else None
    after = {each.answer for each in ordered[calls[-1] + 1 if calls else 0 :]}
    if "help" in after:
        return "help"
    if spoken is not None:
        return spoken
    if "wrong_person" in after:
        return "wrong_person"
    return "safe" if after else None


def is_verified(given: Sequence[Given]) -> bool:
    """Whether somebody, and not perhaps a machine that opens links, gave an answer."""
    return any(each.verified for each in given)
