"""Registration snapshots decode to the encoded values, and the stored bytes stay as earlier versions wrote them."""

from datetime import timedelta

from services.notify.columns.registration_snapshot import RegistrationSnapshot, decode_snapshots, encode_snapshot
from services.notify.model.whereabouts import Whereabouts
from tests.rules.notify_world import LONG_AGO, TODAY, stay, whereabouts

IMPORTED = stay(region="ES-MD").model_copy(update={"imported": True, "since": LONG_AGO + timedelta(microseconds=1)})
OVERDUE = whereabouts(IMPORTED, stay(3, 5, "FR")).model_copy(update={"ended": True, "version": 7})
RETURNED = whereabouts(person="student-0002").model_copy(update={"ended": True, "returned_on": TODAY})


def of_rules(where: Whereabouts) -> Whereabouts:
    """What the rules read of these whereabouts."""
    stays = tuple(kept.model_copy(update={"place": None, "given_region": None}) for kept in where.stays)
    return where.model_copy(update={"stays": stays, "faculty_id": "", "programme_id": "", "former": ()})


def test_snapshots_are_decoded_to_what_the_rules_read() -> None:
    """Dates, places, imports, returns and microseconds survive, for several registrations in one go."""
    registrations = [OVERDUE, RETURNED]

    snapshots = decode_snapshots(
        [where.registration_id for where in registrations],
        [encode_snapshot(where) for where in registrations],
        [True, False],
    )

    assert [snapshot.whereabouts() for snapshot in snapshots] == [of_rules(where) for where in registrations]
    assert [snapshot.is_reachable for snapshot in snapshots] == [True, False]
    assert snapshots[0] == RegistrationSnapshot.of(OVERDUE, is_reachable=True)


def test_snapshot_is_stored_as_the_bytes_that_old_registrations_have() -> None:
    """Snapshots of a former version of the service are read by this one, so their bytes may not change."""
    assert (
        encode_snapshot(RETURNED)
        == (
            b'[1,"student-0002",%d,"en",1737882000000000,'
            b'"[false,true,\\"2026-03-02\\",[[\\"2026-02-20\\",\\"2026-03-12\\",\\"ES\\",null,null]]]",'
            b"[1737882000000000]]"
        )
        % RETURNED.hash
    )


def test_snapshots_of_people_in_the_same_places_share_their_itinerary() -> None:
    """It is the key of their common decision: neither the person nor when a leg was added is part of it."""
    one, other = whereabouts(), whereabouts(stay(since=LONG_AGO - timedelta(days=1)), person="student-0002")

    first, second = (RegistrationSnapshot.of(where, is_reachable=True) for where in (one, other))

    assert first.itinerary == second.itinerary
