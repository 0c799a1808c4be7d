"""Notify: the work of sending. Whoever is selected is on the list, and of whatever is done events say what became.

What was begun and is not done may have been said or not: an owner may hold it, or have died, and the next one says it.
"""

from collections.abc import AsyncIterator, Mapping

from services.notify.columns.recipient_columns import NO_PERSON, RecipientColumns
from services.notify.model.deliveries import delivery_id
from services.passage.projections.projection import Comparable, Item, by_place, shard_place, unequal
from services.passage.projections.selections import mails_asked_for
from shared.audit.evidence import Evidence
from shared.events import Channel, OutcomeEvent, RecipientsSelected
from shared.mongo.client import Collection, Document

_SORTED = [("alertId", 1), ("shard", 1)]
_OF_SELECTIONS = {"alertId": 1, "shard": 1, "step": 1, "roll": 1}
_OF_LANES = {"alertId": 1, "shard": 1, "selectionId": 1, "channel": 1, "indices": 1, "ends": 1, "done": 1}


def _of_lanes(evidence: Evidence) -> Mapping[str, bool]:
    """Delivery → whether this says what became of it."""
    event = evidence.data
    match event:
        case RecipientsSelected():
            names = [
                delivery_id(event.alert_id, each.person_id, channel)
                for each in event.recipients
                for channel in each.channels
            ]
        case OutcomeEvent():
            names = [entry.delivery_id for entry in event.entries]
        case _:
            notice, mails = mails_asked_for(evidence)
            return {f"{shard_place(notice, 0)}#{delivery_id(notice, who, Channel.EMAIL)}": False for who in mails}
    where, told = shard_place(event.alert_id, event.shard), isinstance(event, OutcomeEvent)
    return {f"{where}#{name}": told for name in names}


def _told(former: Document | None, _: Evidence, told: bool) -> Document:
    return {"told": told or (former is not None and former["told"])}


async def _rows(lanes: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    """Shard by shard of each alert: delivery → told, null where either may be; a lane without its selection → told."""
    kept = lanes.database["selections"]
    # What is not begun when an alert is closed is said to be cancelled, and then the lane is done.
    closed = {str(each["_id"]) async for each in lanes.database["alerts"].find({"state.isClosed": True}, {"_id": 1})}
    selections = kept.find({}, _OF_SELECTIONS).sort(_SORTED)
    work = lanes.find({}, _OF_LANES).sort(_SORTED).allow_disk_use(True)  # nothing is ever taken off
    selection = await anext(selections, None)
    lane = await anext(work, None)
    while lane is not None:
        where = _where(lane)
        rolls: dict[str, tuple[RecipientColumns, int]] = {}
        while selection is not None and _where(selection) <= where:
            if _where(selection) == where:
                rolls[str(selection["_id"])] = _roll(selection)
            selection = await anext(selections, None)
        here: dict[str, tuple[bool, bool]] = {}
        while lane is not None and _where(lane) == where:
            of_lane = lane["selectionId"]
            if of_lane not in rolls and (late := await kept.find_one({"_id": of_lane}, _OF_SELECTIONS)):
                rolls[of_lane] = _roll(late)  # made since then
            if of_lane not in rolls:
                here[str(lane["_id"])] = True, True
            else:
                for name, begun in _begun(lane, *rolls[of_lane]):
                    all_done, any_begun = here.get(name, (True, False))
                    here[name] = all_done and lane["done"], any_begun or begun or lane["done"] or where[0] in closed
            lane = await anext(work, None)
        yield shard_place(*where), {name: {"told": _is_told(*known)} for name, known in here.items()}


def _where(document: Document) -> tuple[str, int]:
    return document["alertId"], int(document["shard"])


def _roll(selection: Document) -> tuple[RecipientColumns, int]:
    return RecipientColumns.decode(selection["roll"]), int(selection["step"])


def _begun(lane: Document, roll: RecipientColumns, step: int) -> list[tuple[str, bool]]:
    end = lane["ends"][-1] if lane["ends"] else 0
    channel = Channel(lane["channel"])
    return [
        (delivery_id(lane["alertId"], roll.persons[index] or NO_PERSON, channel, step), position < end)
        for position, index in enumerate(lane["indices"])
    ]


def _is_told(all_done: bool, any_begun: bool) -> bool | None:
    return True if all_done else None if any_begun else False


def _kept(collection: Collection) -> AsyncIterator[Document]:
    return by_place(_rows(collection))


def _differing(wanted: Comparable, own: Comparable) -> set[str]:
    return set() if own["told"] is None else unequal(wanted, own)


def _is_under_way(own: Comparable) -> bool:
    return own["told"] is not True


SEND_JOBS = Item(_of_lanes, _told, kept=_kept, differing=_differing, is_ahead=_is_under_way)
