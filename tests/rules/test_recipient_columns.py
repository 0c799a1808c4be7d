"""Selections as columns: what is packed is read back, and the facts are those that the models would write."""

import orjson
import pytest

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.model.shards import MOST_ENTRIES, digest, person_hash
from services.notify.selecting import recipients_selected
from services.notify.store.alerts import Selection
from shared.clock import utc_now
from shared.envelope import Cause, Draft, compose
from shared.events import Channel, Level, RecipientsSelected
from shared.events import Recipient as RecipientEntry
from shared.privacy.service_key import ServiceKey

BOTH = tuple(Channel)
CHOSEN = (
    Recipient("p1", "r1", "alert_country", "nl", BOTH, 3, "ES", Level.RED, "country"),
    Recipient("p2", "r2", "alert_region", "en", (Channel.EMAIL,), 1, '"d\'Azur" \u2028 België', Level.ORANGE, "region"),
    Recipient("p3", "r3", "alert_country", "nl", (), 2, "ES", Level.RED, "country"),
    Recipient("p4", "r4", "manual", "en", BOTH, 1, "ES", Level.GREEN, "unresolved_place"),
)
MAILBOX = Recipient(None, None, "incident", "en", (Channel.EMAIL,), mailbox="office@example.org", called="Office")


def selected(*chosen: Recipient) -> Selection:
    """A selection of these."""
    return Selection("ES-2:7", "ES-2", 7, False, utc_now(), RecipientColumns.from_recipients(chosen))


@pytest.mark.parametrize("count", [1, 4, MOST_ENTRIES, MOST_ENTRIES + 1])
def test_facts_of_a_selection_are_byte_for_byte_those_of_the_models(count: int) -> None:
    """Without models, yet the same contract: and what is written is read by the model."""
    chosen = [CHOSEN[number % len(CHOSEN)]._replace(person_id=f"p{number}") for number in range(count)]
    looked_at = [f"seen-{number}" for number in range(count)]
    drafts = recipients_selected(selected(*chosen), looked_at)
    now, cause = utc_now(), Cause("c", "d")

    for number, draft in enumerate(drafts):
        first = number * MOST_ENTRIES
        recipients = tuple(
            RecipientEntry(
                person_id=each.person_id or "",
                registration_id=registration,
                registration_version=each.registration_version,
                reason=each.reason,  # type: ignore[arg-type]
                area=each.area,
                level=each.level or Level.GREEN,
                channels=each.channels,
            )
            for each, registration in list(zip(chosen, looked_at, strict=True))[first : first + MOST_ENTRIES]
        )
        event = RecipientsSelected(alert_id="ES-2", shard=7, late=False, recipients=recipients)
        assert draft.data.stream == event.stream
        assert draft.json is not None
        assert RecipientsSelected.model_validate(orjson.loads(draft.json)) == event
        written = [
            compose(each, source="/notify", version=1, time=now, cause=cause)
            for each in (draft, Draft(event, draft.id))
        ]
        assert written[0] == written[1]
    assert len(drafts) == -(-count // MOST_ENTRIES)


def test_roll_is_read_back_as_it_was_packed() -> None:
    """Every field of everybody, and what is counted of them."""
    roll = RecipientColumns.from_recipients((*CHOSEN, MAILBOX))

    back = RecipientColumns.decode(roll.encode())

    assert tuple(back) == (*CHOSEN, MAILBOX)
    assert (back.count_by_channel, back.unreachable) == ({"email": 4, "sms": 2}, 1)
    assert (back.indices_for(Channel.SMS), back[1:3]) == ((0, 3), CHOSEN[1:3])


def test_digests_stand_in_the_order_of_the_hashes() -> None:
    """A pass goes by hash: so it only ever appends to the index of digests."""
    persons = [f"p{number}" for number in range(200)]

    assert sorted(persons, key=digest) == sorted(persons, key=lambda each: (person_hash(each), digest(each)))


def test_ticket_is_read_by_its_key_alone() -> None:
    """The same for the same block; another key, another length, another alphabet: nothing of ours."""
    key, other = ServiceKey(b"k" * 32), ServiceKey(b"o" * 32)
    ticket = key.ticket(b"0123456789abcdef")

    assert ticket == key.ticket(b"0123456789abcdef")
    assert len(ticket) == 22
    assert key.read_ticket(ticket) == b"0123456789abcdef"
    assert other.read_ticket(ticket) != b"0123456789abcdef"
    for wrong in ("", ticket[:-1], ticket + "A", ticket[:-1] + "B", "ä" * 22, ticket + "\n"):
        assert key.read_ticket(wrong) is None
    with pytest.raises(ValueError, match="one block"):
        key.ticket(b"short")
