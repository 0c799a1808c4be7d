"""The history of an object is its stream: who did what, when, on which advice."""

from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event

#: One answer holds at most this many events; `passage audit` reads further back.
MAX_EVENTS = 200


async def history(outbox: Outbox, stream: str) -> list[Envelope[Event]]:
    """The newest 200 events of a stream, oldest of them first."""
    documents = outbox.events.find({"stream": stream}, {"body": 1}).sort("version", -1).limit(MAX_EVENTS)
    newest_first = [parse(bytes(document["body"])) async for document in documents]
    return newest_first[::-1]
