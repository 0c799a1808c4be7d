"""Everything the service stores about one person, decrypted, as one document (AVG article 15, right of access)."""

from typing import Any

from services.registration.store.persons import PersonsStore
from shared.bus.outbox import Outbox
from shared.envelope import parse
from shared.errors import PermanentError, describe
from shared.events import Event
from shared.observability.logs import get_logger
from shared.privacy.keyring import Keyring
from shared.privacy.processing_log import log_personal_data_read
from shared.privacy.sealed_fields import sealed_texts

log = get_logger()


async def export_person_data(
    persons: PersonsStore, outbox: Outbox, keyring: Keyring, person_id: str, *, read_by: str
) -> dict[str, Any]:
    """`{personId, registrations: [{…, facts: [{what, at, …}]}], trips: …}`; sealed fields opened, null when erased.

    Documents are named by their events; their bytes come from `/v1/registrations/{id}/documents/{id}`. One line in
    the processing log says who read the data.
    """
    registrations = [
        {
            "registrationId": registration.registration_id,
            "status": registration.status.value,
            "facts": await _events(outbox, keyring, registration.registration_id),
        }
        for registration in await persons.registrations_of(person_id)
    ]
    trips = [
        {"groupId": group_id, "facts": await _events(outbox, keyring, group_id)}
        for group_id in await persons.trips_of(person_id)
    ]
    log_personal_data_read("person_data", read_by, {person_id})
    return {"personId": person_id, "registrations": registrations, "trips": trips}


async def _events(outbox: Outbox, keyring: Keyring, stream: str) -> list[dict[str, Any]]:
    events = []
    async for document in outbox.events.find({"stream": stream}, {"body": 1}).sort("version", 1):
        envelope = parse(bytes(document["body"]))
        data = await _opened(keyring, envelope.data)
        events.append({"what": envelope.type, "at": envelope.time.isoformat(), **data})
    return events


async def _opened(keyring: Keyring, event: Event) -> dict[str, Any]:
    """The event's data with every sealed field opened. A field is sealed by its type, never by how its text looks."""
    data: dict[str, Any] = event.model_dump(mode="json", by_alias=True)
    for place, sealed in sealed_texts(event):
        *containers, name = place
        holder: Any = data
        for step in containers:
            holder = holder[step]
        text = await _open(keyring, sealed, str(name))
        # `placeSealed` took the place of `place`, which older events have in clear: a person reads them as one.
        del holder[name]
        holder[str(name).removesuffix("Sealed")] = text
    return data


async def _open(keyring: Keyring, sealed: str, name: str) -> Any | None:
    """The content; None when it was erased, and when it does not open, which keeps nobody from the rest."""
    try:
        return await keyring.open(sealed, f"/{name}")
    except PermanentError as error:
        log.error("sealed_field_unreadable", kind=name, reason=describe(error))
        return None
