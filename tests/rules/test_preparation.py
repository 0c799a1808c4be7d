"""Prepared shards: who shares a message shares a variant, and ids depend on the input alone."""

from datetime import timedelta

from services.notify.audience.affected import AffectedPerson, affected_persons, memoised_decisions
from services.notify.audience.preparation import ALL_CHANNELS, PreparedAudience
from services.notify.columns.registration_snapshot import RegistrationSnapshot
from services.notify.rules.audience import decide_audience
from services.notify.store.alerts import Alert
from shared.envelope import Cause
from shared.events import AlertTrigger, Channel, Level, Presence
from tests.rules.notify_world import NOW, TODAY, advice, stay, whereabouts

RED = advice(Level.RED, {"ES-MD": Level.ORANGE})


def affected(person: str, region: str | None = "ES-CT", language: str = "nl") -> AffectedPerson:
    """An affected person, decided alone: no decision object is shared with another person."""
    where = whereabouts(stay(region=region), person=person).model_copy(update={"language": language})
    snapshot = RegistrationSnapshot.of(where, is_reachable=True)
    return AffectedPerson(snapshot, decide_audience(where, RED, TODAY), snapshot)


def prepared(*persons: AffectedPerson, late: bool = False) -> PreparedAudience:
    """An audience in one shard, reachable over every channel except for p9."""
    alert = Alert(
        alert_id="ES-3", country="ES", advice_version=3, trigger=AlertTrigger.ADVICE_CHANGED, as_of=NOW, shard_count=1,
        offsets={}, advice=RED,
    )  # fmt: skip
    channels = {person.newest.registration_id: ALL_CHANNELS for person in persons if person.newest.person_id != "p9"}
    return PreparedAudience(alert, list(persons), channels, late, Cause("c", "d"), NOW, [])


def test_persons_with_the_same_message_share_a_variant() -> None:
    """Place, level, language and channels make the message; which object holds the decision does not matter."""
    persons = (affected("p1"), affected("p2"), affected("p3", language="en"), affected("p4", "ES-MD"), affected("p9"))

    columns = prepared(*persons).prepare_shard(0, persons).selection.recipients

    assert list(columns.variant_index) == [0, 0, 1, 2, 3]
    assert [(variant.language, variant.area, variant.level) for variant in columns.variants] == [
        ("nl", "ES", Level.RED),
        ("en", "ES", Level.RED),
        ("nl", "ES-MD", Level.ORANGE),
        ("nl", "ES", Level.RED),
    ]
    assert columns.variants[3].channels == ()


def test_shard_of_a_run_has_one_id_and_a_job_for_each_channel() -> None:
    """Two processes that run the same alert agree on the ids, so the second one finds the first one's documents."""
    persons = (affected("p1"), affected("p2"))

    first, second = (prepared(*persons).prepare_shard(0, persons) for _ in range(2))

    assert first == second
    assert first.selection.selection_id == "ES-3:0"
    assert [(job.id, job.indices) for job in first.send_jobs] == [
        (f"ES-3:0:{channel.value}", (0, 1)) for channel in Channel
    ]


def test_late_selection_is_identified_by_its_persons() -> None:
    """Late arrivals of the same shard are other selections; the same persons again are the same one."""
    one, other = affected("p1"), affected("p2")

    ids = [
        prepared(*persons, late=True).prepare_shard(0, persons).selection.selection_id
        for persons in ((one,), (other,), (one,))
    ]

    assert ids[0] == ids[2] != ids[1]
    assert all(selection_id.startswith("ES-3:0:") for selection_id in ids)


def test_person_with_two_registrations_is_told_of_the_place_where_they_are() -> None:
    """One stay ended yesterday, another began today, both as bad: the message does not say that the stay is over."""
    over = whereabouts(stay(-9, -1)).model_copy(update={"registration_id": "r-over"})
    now_there = whereabouts(stay(0, 9)).model_copy(update={"registration_id": "r-there"})
    snapshots = [RegistrationSnapshot.of(where, is_reachable=True) for where in (over, now_there)]

    for ordered in (snapshots, snapshots[::-1]):
        (person,) = affected_persons(ordered, memoised_decisions(RED, TODAY))
        assert (person.registration.registration_id, person.decision.presence) == ("r-there", Presence.THERE)


def test_person_with_two_registrations_is_reached_at_the_address_of_the_newer_one() -> None:
    """Whichever is in the worse place, and whichever is read first: the newer contact details are those of today."""
    for older_region, newer_region in (("ES-CT", "ES-MD"), ("ES-MD", "ES-CT"), ("ES-CT", "ES-CT")):
        older = whereabouts(stay(region=older_region)).model_copy(update={"registration_id": "r-older"})
        newer = whereabouts(stay(region=newer_region)).model_copy(
            update={"registration_id": "r-newer", "changed_at": older.changed_at + timedelta(seconds=1)}
        )
        snapshots = [RegistrationSnapshot.of(where, is_reachable=True) for where in (older, newer)]

        for ordered in (snapshots, snapshots[::-1]):
            (person,) = affected_persons(ordered, memoised_decisions(RED, TODAY))
            assert person.newest.registration_id == "r-newer"
            assert person.decision.level is Level.RED


def test_registration_that_cannot_be_judged_is_reported_and_stops_nobody() -> None:
    """Its itinerary does not open; the person beside it is found all the same."""
    good = affected("p1").registration
    broken = affected("p2").registration._replace(itinerary="[false, false, null, [[]]]")
    not_assessable: list[RegistrationSnapshot] = []

    found = affected_persons([broken, good], memoised_decisions(RED, TODAY), not_assessable)

    assert [person.registration.person_id for person in found] == ["p1"]
    assert not_assessable == [broken]
