"""Everything registration keeps of one person, as one document (AVG article 15): readable, complete, opened."""

from typing import Any

from services.registration.store.persons import PersonsStore
from shared.bus.outbox import Outbox
from shared.envelope import parse
from shared.observability.logs import get_logger
from shared.privacy.keyring import Keyring

SEALED = "sealed:v1:"

log = get_logger()


async def export_person_data(
    persons: PersonsStore, outbox: Outbox, keyring: Keyring, person_id: str, *, read_by: str
) -> dict[str, Any]:
    """`{personId, registrations: [{…, facts: [{what, at, …}]}], trips: …}`; sealed fields opened, null when erased.

    Documents are named in their facts; their bytes come from `/v1/registrations/{id}/documents/{id}`. One line in the
    processing log says that it was read, and by whom.
    """
    registrations = [
        {
            "registrationId": state.registration_id,
            "status": state.status.value,
            "facts": await _facts(outbox, keyring, state.registration_id),
        }
        for state in await persons.registrations_of(person_id)
    ]
    trips = [
        {"groupId": group_id, "facts": await _facts(outbox, keyring, group_id)}
        for group_id in await persons.trips_of(person_id)
    ]
    log.info("personal_data_read", person_id=person_id, source=read_by, count=1, kind="own_data")
    return {"personId": person_id, "registrations": registrations, "trips": trips}


async def _facts(outbox: Outbox, keyring: Keyring, stream: str) -> list[dict[str, Any]]:
    found = []
    async for document in outbox.events.find({"stream": stream}, {"body": 1}).sort("version", 1):
        envelope = parse(bytes(document["body"]))
        data = await _opened(keyring, envelope.data.model_dump(mode="json", by_alias=True), "")
        found.append({"what": envelope.type, "at": envelope.time.isoformat(), **data})
    return found


async def _opened(keyring: Keyring, value: Any, path: str) -> Any:
    """The same with every sealed text opened; it is bound to the path at which it stands."""
    if isinstance(value, dict):
        return {key: await _opened(keyring, each, f"{path}/{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [await _opened(keyring, each, f"{path}/{number}") for number, each in enumerate(value)]
    if isinstance(value, str) and value.startswith(SEALED):
        return await keyring.open(value, path)
    return value
