"""Recipient columns decode to the encoded recipients; shards and digests have the same order."""

import orjson

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.model.shards import digest, person_hash
from shared.events import Channel, Level, Presence

BOTH = tuple(Channel)
RECIPIENTS = (
    Recipient("p1", "r1", "alert_country", "nl", BOTH, 3, "ES", Level.RED, "country"),
    Recipient("p2", "r2", "alert_region", "en", (Channel.EMAIL,), 1, '"d\'Azur" \u2028 België', Level.ORANGE, "region"),
    Recipient("p3", "r3", "alert_country", "nl", (), 2, "ES", Level.RED, "country"),
    Recipient("p4", "r4", "manual", "en", BOTH, 1, "ES", Level.GREEN, "unresolved_place"),
    Recipient("p5", "r5", "alert_country", "nl", BOTH, 4, "ES", Level.RED, "country", presence=Presence.BEFORE),
)
MAILBOX = Recipient(None, None, "incident", "en", (Channel.EMAIL,), mailbox="office@example.org", called="Office")


def test_recipient_columns_are_decoded_to_the_recipients_that_were_encoded() -> None:
    """Every field of every recipient, and the counts."""
    columns = RecipientColumns.from_recipients((*RECIPIENTS, MAILBOX))

    decoded = RecipientColumns.decode(columns.encode())

    assert tuple(decoded) == (*RECIPIENTS, MAILBOX)
    assert decoded.registrations_named == set()
    assert (decoded.count_by_channel, decoded.unreachable) == ({"email": 5, "sms": 3}, 1)
    assert (decoded.indices_for(Channel.SMS), decoded[1:3]) == ((0, 3, 4), RECIPIENTS[1:3])


def test_recipient_columns_are_stored_as_the_bytes_that_old_selections_have() -> None:
    """Five columns as one JSON array. Selections are stored for ever, so their bytes may not change."""
    columns = RecipientColumns.from_recipients((RECIPIENTS[0], RECIPIENTS[0]._replace(person_id="p5"), MAILBOX))

    assert orjson.loads(columns.encode()) == [
        ["p1", "p5", None],
        ["r1", "r1", None],
        [3, 3, 0],
        [0, 0, 1],
        [
            ["alert_country", "nl", ["email", "sms"], "ES", 3, "country", None, ""],
            ["incident", "en", ["email"], "", None, "", "office@example.org", "Office"],
        ],
    ]
    assert RecipientColumns.decode(columns.encode()).encode() == columns.encode()


def test_recipient_columns_store_where_a_person_is_who_is_not_there() -> None:
    """A ninth field, only for who is about to go, or whose stay is over."""
    columns = RecipientColumns.from_recipients(RECIPIENTS[-1:])

    assert orjson.loads(columns.encode())[4] == [
        ["alert_country", "nl", ["email", "sms"], "ES", 3, "country", None, "", "before"]
    ]


def test_recipient_columns_know_the_student_whom_a_message_to_an_office_is_about() -> None:
    """A mailbox with `about` is decoded to itself, and one without stays as it was."""
    about = MAILBOX._replace(about="r9")
    columns = RecipientColumns.decode(RecipientColumns.from_recipients((MAILBOX, about)).encode())

    assert tuple(columns) == (MAILBOX, about)
    assert columns.registrations_named == {"r9"}


def test_digests_of_persons_have_the_order_of_their_hashes() -> None:
    """A selection run goes by hash, so it only ever appends to the index of digests."""
    persons = [f"p{number}" for number in range(200)]

    assert sorted(persons, key=digest) == sorted(persons, key=lambda person: (person_hash(person), digest(person)))
