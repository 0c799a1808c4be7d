"""Specimens tell roles, languages, dates and levels apart: no two of their values that may be mixed up are equal.

A test that compares with a specimen sees a swap of two fields only when the two have different values.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pydantic import BaseModel

from services.notify.messages import service_specimens, specimens
from shared.envelope import Envelope, parse
from shared.events import DeliveryOutcome, Event, Level, NotificationsAccepted, RegionAdvice, TaskClaimed
from tests.audit.log import CAUSE
from tests.audit.sample import Sample
from tests.contracts.test_events import SAMPLES
from tests.rules.notify_world import NOW, advice


@dataclass(frozen=True)
class Leaf:
    """One value of a specimen. `owner`: the path of the nearest item of a list, or of the specimen."""

    owner: tuple[str | int, ...]
    path: tuple[str | int, ...]
    model: str
    field: str
    value: Any

    @property
    def kind(self) -> str:
        """Values of one kind can stand in each other's place."""
        return "text" if type(self.value) is str else type(self.value).__name__

    @property
    def name(self) -> str:
        """`Model.field`."""
        return f"{self.model}.{self.field}"

    @property
    def where(self) -> str:
        """The path in the specimen."""
        return ".".join(map(str, self.path))


def leaves(
    value: Any, path: tuple[str | int, ...] = (), owner: tuple[str | int, ...] = (), model: str = "", field: str = ""
) -> Iterator[Leaf]:
    """Every value in a specimen that says something: no null, no empty text, no truth value, no count of nothing."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from leaves(getattr(value, name), (*path, name), owner, type(value).__name__, name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(key, (*path, str(key), "key"), (*path, str(key)), model, f"{field}.key")
            yield from leaves(item, (*path, str(key)), (*path, str(key)), model, field)
    elif isinstance(value, tuple | list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number), (*path, number), model, field)
    elif value is not None and value != "" and not isinstance(value, bool) and not (type(value) is int and value == 0):
        yield Leaf(owner, path, model, field, value)


def confused(specimen: object, allowed: Iterable[set[str]] = ()) -> list[str]:
    """Pairs of equal values that may be mixed up, unless their fields are always equal."""
    return [
        f"{one.where} = {other.where}: {one.value!r} ({one.name}, {other.name})"
        for one, other in combinations(leaves(specimen), 2)
        if one.kind == other.kind
        and one.value == other.value
        and may_be_mixed_up(one, other)
        and {one.name, other.name} not in (*ALWAYS_EQUAL, *allowed)
    ]


def may_be_mixed_up(one: Leaf, other: Leaf) -> bool:
    """Texts, dates and instants anywhere in the specimen; numbers, levels and other choices within one kind of object.

    Of two items of a list the ids must differ; they may have the same reason, colour or day.
    """
    if one.name == other.name and one.owner != other.owner:
        return one.field.endswith("_id")
    if one.kind in ("text", "date", "datetime"):
        return True
    return one.model == other.model and one.owner == other.owner


#: Fields that mean the same thing, so that their values have to be equal.
ALWAYS_EQUAL = (
    # A change of a whole country names it by its code, and so does an override of the whole country.
    *({name, "AreaChange.area"} for name in ("TravelAdviceChanged.country", "AdviceHeld.country")),
    {"TravelAdviceChanged.country", "DecidingOverride.areas"},
    {"AreaChange.area", "DecidingOverride.areas"},
    # A change of a region names it by its code.
    {"RegionAdvice.code", "AreaChange.area"},
    # A level that an override decided holds since that override.
    {"LevelGrounds.since", "OverrideFacts.since"},
    # `alert_content` takes both from the grounds, which name the source of the same advice.
    {"AlertContent.since", "LevelGrounds.since"},
    {"AlertContent.since", "OverrideFacts.since"},
    {"AlertContent.source", "LevelGrounds.source"},
)


def confused_attributes(envelope: Envelope[Event]) -> list[str]:
    """Attributes of the envelope with one value, or with an instant of the data."""
    texts = (envelope.id, envelope.subject, envelope.source, envelope.correlationid, envelope.causationid)
    equal = ["two texts"] if len(set(texts)) < len(texts) else []
    equal += ["version and sequence"] if envelope.streamversion == envelope.sequence else []
    instants = {leaf.value for leaf in leaves(envelope.data) if leaf.kind == "datetime"}
    return equal + (["time"] if envelope.time in instants else [])


def test_no_two_values_of_a_golden_event_may_be_mixed_up() -> None:
    """Requested by and confirmed by, before and after, first and last day; in the envelope, cause and correlation."""
    envelopes = {path.stem: parse(path.read_bytes()) for path in SAMPLES}
    found = {name: confused(envelope.data) + confused_attributes(envelope) for name, envelope in envelopes.items()}

    assert {name: pairs for name, pairs in found.items() if pairs} == {}


def test_requested_and_granted_dates_of_the_golden_events_differ() -> None:
    """An approver may grant other dates than the student asked for."""
    requested, granted = (
        next(parse(path.read_bytes()).data for path in SAMPLES if path.stem == f"{name}.v1")
        for name in ("ApprovalRequested", "ApprovalGranted")
    )
    days = [getattr(event, name) for event in (requested, granted) for name in ("start_date", "end_date")]

    assert len(set(days)) == len(days)


def test_no_two_values_of_a_message_may_be_mixed_up() -> None:
    """Since when a level holds and of when its advice is, Dutch and English, departure and return."""
    messages = {(kind, ""): content for kind, content in specimens.SPECIMENS.items()} | {
        (kind, name): content for kind, variants in specimens.VARIANTS.items() for name, content in variants.items()
    }
    found = {key: confused(content) for key, content in messages.items()}

    assert {key: pairs for key, pairs in found.items() if pairs} == {}


def test_every_role_of_the_messages_has_facts_of_its_own() -> None:
    """University, student, the student's emergency contact, coordinator, faculty, office and team."""
    roles = {
        "university": specimens.UNIVERSITY,
        "emergency": {"number": specimens.EMERGENCY_NUMBER, "email": specimens.EMERGENCY_EMAIL},
        "student": specimens.STUDENT,
        "coordinator": service_specimens.COORDINATOR,
        "faculty": service_specimens.CONTACT_PERSON,
        "office": service_specimens.INTERNATIONAL_OFFICE,
        "team": specimens.TEAM,
    }

    common = [
        f"{one.where} = {other.where}: {one.value!r}"
        for one, other in combinations(leaves(roles), 2)
        if one.value == other.value
    ]
    assert common == []


def test_no_two_texts_or_instants_of_the_sample_log_may_be_mixed_up() -> None:
    """The log on which the auditor's commands are shown. In its story no override hides the ministry's levels."""
    story = (
        {"RegistrationCancelled.person_id", "RegistrationCancelled.cancelled_by"},
        {"DeliveryOutcome.person_id"},
        {"DeliveryOutcome.registration_id"},
        {"DeliveryOutcome.step", "DeliveryOutcome.attempt"},
        {"LevelChange.before", "LevelChange.after"},
        {"LevelChange.before"},
        {"LevelChange.after"},
        {"TravelAdviceChanged.advice_version", "TravelAdviceChanged.parser_version"},
    )
    found = {
        f"{record.topic}@{record.offset}": confused(parse(record.value).data, story) for record in Sample().records
    }
    causes = [parse(record.value) for record in Sample().records]

    assert {place: pairs for place, pairs in found.items() if pairs} == {}
    assert [envelope.id for envelope in causes if envelope.correlationid == envelope.causationid] == []
    assert CAUSE.correlation_id != CAUSE.causation_id


def test_advice_of_the_rules_tests_tells_since_when_it_is_red_from_since_when_it_is_orange() -> None:
    """By version and by time."""
    red = advice(Level.RED).whole

    assert red.red_since is not None
    assert red.orange_since is not None
    assert red.orange_since.advice_version < red.red_since.advice_version
    assert red.orange_since.at < red.red_since.at


def test_equal_values_are_found() -> None:
    """The test of the tests: two texts, two levels, an id of two items; never two items of the same colour."""
    same = RegionAdvice(area="ES-AN", code="ES-AN", before=1, after=1)
    other = RegionAdvice(area="Andalusië", code="ES-AN", before=1, after=2)
    task = TaskClaimed(registration_id="r", person_id="p", task_id="t", claimed_by="p")
    mail = DeliveryOutcome(
        delivery_id="d", person_id="p", channel="email", step=1, attempt=2, provider="example", reference="0", at=NOW
    )
    entries = NotificationsAccepted(alert_id="ES-2", shard=0, entries=(mail, mail))

    assert len(confused(same)) == 2
    assert confused(other) == []
    assert len(confused(task)) == 1
    assert len(confused(entries)) == 2
