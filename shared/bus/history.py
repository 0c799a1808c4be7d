"""The history of one thing is its stream: who did what, when, on which advice."""

from shared.bus.outbox import Outbox
from shared.envelope import Envelope, parse
from shared.events import Event

#: Nobody reads further back in one answer; the audit does.
NEWEST = 200


async def history(outbox: Outbox, stream: str) -> list[Envelope[Event]]:
    """The newest events of a stream, oldest of them first."""
    found = outbox.events.find({"stream": stream}, {"body": 1}).sort("version", -1).limit(NEWEST)
    newest = [parse(bytes(document["body"])) async for document in found]
    return newest[::-1]
