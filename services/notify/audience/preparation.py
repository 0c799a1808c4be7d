"""Prepares selections: for each shard the recipients, the events and the send jobs, before the transaction begins.

Preparing takes most of the CPU time of a selection run. It needs no lock, so the next shards are prepared while the
transaction of the former ones is on its way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from services.notify.audience.affected import AffectedPerson
from services.notify.audience.deps import SelectionDeps
from services.notify.channel_spec import CHANNELS
from services.notify.columns.recipient_columns import MessageVariant, RecipientColumns
from services.notify.columns.recipients_selected import encode_recipients_selected
from services.notify.messages.content import ALERT_KINDS
from services.notify.model.shards import shard_of
from services.notify.rules.audience import AudienceDecision
from services.notify.rules.listed import is_listed
from services.notify.store.alerts import Alert
from services.notify.store.selections import Selection
from services.notify.store.send_queue import EMERGENCY, SendJob, send_jobs
from shared.envelope import Cause, Draft
from shared.events import AlertTrigger, Channel, Level
from shared.ids import derived_id

ALL_CHANNELS = tuple(Channel)


class PreparedShard(NamedTuple):
    """The selection of one shard, with everything that is stored in the same transaction."""

    selection: Selection
    events: list[Draft]
    send_jobs: list[SendJob]


@dataclass(frozen=True, slots=True)
class PreparedAudience:
    """Affected persons, and for each shard what records them.

    `channels`: registration → the channels over which its person is notified.
    """

    alert: Alert
    affected: list[AffectedPerson]
    channels: Mapping[str, tuple[Channel, ...]]
    late: bool
    cause: Cause
    now: datetime
    shards: list[PreparedShard]

    def prepare_again(self, affected: Iterable[AffectedPerson]) -> list[PreparedShard]:
        """The shards with these persons only: another alert has notified the others meanwhile."""
        return [self.prepare_shard(*shard) for shard in _by_shard(affected, self.alert.shard_count).items()]

    def prepare_shard(self, shard: int, affected: Sequence[AffectedPerson]) -> PreparedShard:
        """One shard: its recipients as columns, `RecipientsSelected`, and a send job for each channel.

        A shard of a run has one id, so processes that run the same alert agree on it. The id of a late selection is
        derived from its persons.
        """
        suffix = f":{derived_id('late', *(person.registration.person_id for person in affected))}" if self.late else ""
        selection = Selection(
            selection_id=f"{self.alert.alert_id}:{shard}{suffix}",
            alert_id=self.alert.alert_id,
            shard=shard,
            late=self.late,
            at=self.now,
            recipients=_recipient_columns(self.alert, affected, self.channels),
            correlation_id=self.cause.correlation_id,
            traceparent=self.cause.traceparent,
        )
        events = encode_recipients_selected(
            selection.recipients,
            [person.registration.registration_id for person in affected],
            selection_id=selection.selection_id,
            alert_id=selection.alert_id,
            shard=shard,
            late=self.late,
        )
        return PreparedShard(selection, events, send_jobs(selection, EMERGENCY))


async def prepare(
    deps: SelectionDeps, alert: Alert, affected: list[AffectedPerson], *, late: bool, cause: Cause, now: datetime
) -> PreparedAudience:
    """Everything that `record_selections` stores. A drill leaves out persons without an address on its list."""
    is_drill = alert.trigger is AlertTrigger.DRILL
    channels = await usable_channels(deps, affected, is_drill=is_drill)
    if is_drill:
        affected = [person for person in affected if person.newest.registration_id in channels]
    prepared = PreparedAudience(alert, affected, channels, late, cause, now, [])
    for shard, persons in _by_shard(affected, alert.shard_count).items():
        prepared.shards.append(prepared.prepare_shard(shard, persons))
        await asyncio.sleep(0)  # let the transaction of the former shards go on
    return prepared


async def usable_channels(
    deps: SelectionDeps, affected: Sequence[AffectedPerson], *, is_drill: bool
) -> Mapping[str, tuple[Channel, ...]]:
    """Registration → the channels over which its person is notified. A drill reaches only addresses on its list."""
    if not is_drill:
        return {person.newest.registration_id: ALL_CHANNELS for person in affected if person.newest.is_reachable}
    channels = {}
    registrations = [person.newest.registration_id for person in affected]
    for registration, contact in (await deps.whereabouts.contacts.of_registrations(registrations)).items():
        listed = tuple(
            channel for channel, spec in CHANNELS.items() if is_listed(spec.address(contact), deps.drill_list)
        )
        if listed:
            channels[registration] = listed
    return channels


def _by_shard(affected: Iterable[AffectedPerson], shard_count: int) -> dict[int, list[AffectedPerson]]:
    shards: dict[int, list[AffectedPerson]] = defaultdict(list)
    for person in affected:
        shards[shard_of(person.registration.hash, shard_count)].append(person)
    return shards


def _recipient_columns(
    alert: Alert, affected: Sequence[AffectedPerson], channels: Mapping[str, tuple[Channel, ...]]
) -> RecipientColumns:
    """The affected persons as columns. Persons with the same message, language and channels share one variant."""
    numbers: dict[tuple[str, str, tuple[Channel, ...]], int] = {}
    variants: list[MessageVariant] = []
    variant_index = []
    for _, decision, newest in affected:
        key = (decision.message_key, newest.language, channels.get(newest.registration_id, ()))
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(variants)
            variants.append(_message_variant(alert, decision, newest.language, key[2]))
        variant_index.append(number)
    return RecipientColumns(
        [person.registration.person_id for person in affected],
        [person.newest.registration_id for person in affected],
        [person.registration.version for person in affected],
        variant_index,
        variants,
    )


def _message_variant(
    alert: Alert, decision: AudienceDecision, language: Literal["nl", "en"], channels: tuple[Channel, ...]
) -> MessageVariant:
    place = decision.place
    kind, level = ALERT_KINDS[place.how.value], decision.level
    if alert.is_manual:
        kind = "drill" if alert.trigger is AlertTrigger.DRILL else "manual"
        level = alert.noted_level or Level.GREEN  # the country's level for the record; the message names none
    area = place.area.code or place.area.area
    return MessageVariant(kind, language, channels, area, level, place.how.value, presence=decision.presence)
