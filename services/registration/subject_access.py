"""Everything the service stores about one person, decrypted, as one document (AVG article 15, right of access)."""

from typing import Any

from services.registration.store.persons import PersonsStore
from shared.bus.outbox import Outbox
from shared.envelope import parse
from shared.privacy.keyring import Keyring
from shared.privacy.processing_log import log_personal_data_read

SEALED_PREFIX = "sealed:v1:"


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
        data = await _open_sealed(keyring, envelope.data.model_dump(mode="json", by_alias=True), "")
        events.append({"what": envelope.type, "at": envelope.time.isoformat(), **data})
    return events


async def _open_sealed(keyring: Keyring, value: Any, path: str) -> Any:
    """The value with every sealed text opened. A sealed text is bound to its path in the event."""
    if isinstance(value, dict):
        return {key: await _open_sealed(keyring, member, f"{path}/{key}") for key, member in value.items()}
    if isinstance(value, list):
        return [await _open_sealed(keyring, item, f"{path}/{number}") for number, item in enumerate(value)]
    if isinstance(value, str) and value.startswith(SEALED_PREFIX):
        return await keyring.open(value, path)
    return value
