"""Rebuilds notify's send jobs message by message: each selected recipient has a job, each finished message an outcome.

A message of a begun, unfinished job may have an outcome event or not: a worker may hold the job, or may have died, in
which case the next worker settles it.
"""

from collections.abc import AsyncIterator, Mapping

from services.notify.columns.recipient_columns import NO_PERSON, RecipientColumns
from services.notify.model.deliveries import delivery_id
from services.passage.projections.projection import Comparable, DocumentProjection, by_group, shard_group, unequal
from services.passage.projections.selections import requested_mails
from shared.audit.evidence import Evidence
from shared.events import Channel, OutcomeEvent, RecipientsSelected
from shared.mongo.client import Collection, Document

_SORTED = [("alertId", 1), ("shard", 1)]
_OF_SELECTIONS = {"alertId": 1, "shard": 1, "step": 1, "roll": 1}
_JOB_FIELDS = {"alertId": 1, "shard": 1, "selectionId": 1, "channel": 1, "indices": 1, "ends": 1, "done": 1}


def _of_jobs(evidence: Evidence) -> Mapping[str, bool]:
    """deliveryId → whether this event tells the delivery's outcome."""
    event = evidence.data
    match event:
        case RecipientsSelected():
            names = [
                delivery_id(event.alert_id, recipient.person_id, channel)
                for recipient in event.recipients
                for channel in recipient.channels
            ]
        case OutcomeEvent():
            names = [entry.delivery_id for entry in event.entries]
        case _:
            notice, mails = requested_mails(evidence)
            return {f"{shard_group(notice, 0)}#{delivery_id(notice, who, Channel.EMAIL)}": False for who in mails}
    group, has_outcome = shard_group(event.alert_id, event.shard), isinstance(event, OutcomeEvent)
    return {f"{group}#{name}": has_outcome for name in names}


def _outcome_told(former: Document | None, _: Evidence, has_outcome: bool) -> Document:
    return {"told": has_outcome or (former is not None and former["told"])}


async def _groups(jobs: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    """For each shard of each alert: deliveryId → whether an outcome must exist (True), may (None) or must not (False).

    A job without its selection appears under its own id and must have an outcome, which it cannot: a difference.
    """
    all_selections = jobs.database["selections"]
    # When an alert is closed, the unsent messages are cancelled by an event, and only then the job is marked done.
    alerts = jobs.database["alerts"]
    closed = {str(alert["_id"]) async for alert in alerts.find({"state.isClosed": True}, {"_id": 1})}
    selections = all_selections.find({}, _OF_SELECTIONS).sort(_SORTED)
    work = jobs.find({}, _JOB_FIELDS).sort(_SORTED).allow_disk_use(True)  # finished jobs are never deleted
    selection = await anext(selections, None)
    job = await anext(work, None)
    while job is not None:
        shard = _shard(job)
        columns: dict[str, tuple[RecipientColumns, int]] = {}
        while selection is not None and _shard(selection) <= shard:
            if _shard(selection) == shard:
                columns[str(selection["_id"])] = _columns(selection)
            selection = await anext(selections, None)
        messages: dict[str, tuple[bool, bool]] = {}
        while job is not None and _shard(job) == shard:
            selection_id = job["selectionId"]
            if selection_id not in columns and (
                newer := await all_selections.find_one({"_id": selection_id}, _OF_SELECTIONS)
            ):
                columns[selection_id] = _columns(newer)  # made after this reading began
            if selection_id not in columns:
                messages[str(job["_id"])] = True, True
            else:
                for name, begun in _begun(job, *columns[selection_id]):
                    all_done, any_begun = messages.get(name, (True, False))
                    messages[name] = all_done and job["done"], any_begun or begun or job["done"] or shard[0] in closed
            job = await anext(work, None)
        yield shard_group(*shard), {name: {"told": _must_be_told(*state)} for name, state in messages.items()}


def _shard(document: Document) -> tuple[str, int]:
    return document["alertId"], int(document["shard"])


def _columns(selection: Document) -> tuple[RecipientColumns, int]:
    return RecipientColumns.decode(selection["roll"]), int(selection["step"])


def _begun(job: Document, recipients: RecipientColumns, step: int) -> list[tuple[str, bool]]:
    end = job["ends"][-1] if job["ends"] else 0
    channel = Channel(job["channel"])
    return [
        (delivery_id(job["alertId"], recipients.persons[index] or NO_PERSON, channel, step), position < end)
        for position, index in enumerate(job["indices"])
    ]


def _must_be_told(all_done: bool, any_begun: bool) -> bool | None:
    return True if all_done else None if any_begun else False


def _live(collection: Collection) -> AsyncIterator[Document]:
    return by_group(_groups(collection))


def _differing(wanted: Comparable, own: Comparable) -> set[str]:
    return set() if own["told"] is None else unequal(wanted, own)


def _is_under_way(own: Comparable) -> bool:
    return own["told"] is not True


SEND_JOBS = DocumentProjection(_of_jobs, _outcome_told, live=_live, differing=_differing, is_ahead=_is_under_way)
