"""Completes the search index: registrations that were stored before it, or whose entries were lost.

`app.py` calls it in the sweep. A complete index costs two counts.
"""

from services.registration.model import Registration
from services.registration.search_terms import student_terms
from services.registration.store.registrations import Store
from shared.observability.logs import get_logger
from shared.privacy.keyring import Keyring
from shared.transient import is_transient, reason_of

BATCH = 500

log = get_logger()


async def complete_search_index(store: Store, keyring: Keyring) -> int:
    """Add entries that are missing, from the registrations' own contact details; returns how many."""
    if await store.search.is_complete():
        return 0
    registrations = await store.load_many([registration_id async for registration_id in store.search.missing(BATCH)])
    states = [loaded.state for loaded in registrations if loaded.state is not None]
    for state in states:
        await store.search.put(state.registration_id, state.person_id, await _terms(keyring, state))
    if states:
        log.info("search_index_completed", count=len(states))
    return len(states)


async def _terms(keyring: Keyring, state: Registration) -> list[str]:
    try:
        return await student_terms(keyring, state)
    except Exception as error:
        if is_transient(error):
            raise
        log.error("contact_unreadable", registration_id=state.registration_id, reason=reason_of(error))
        return []
