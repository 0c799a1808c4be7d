"""Finds a student: by name, student number or mail address, for those who look after the student.

A POST, because the search words are personal data and may not stand in a URL.
"""

from typing import Annotated

from fastapi import Response
from pydantic import Field

from services.registration.access import permissions_of
from services.registration.api.bodies import TaskReader
from services.registration.api.views import RegistrationSummary, registration_summaries
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import state_of
from services.registration.search_terms import hashed, words_in
from shared.events import Part
from shared.fields import ShortText
from shared.mongo.client import Session
from shared.web.bodies import Body
from shared.web.idempotency import Answer, Idempotency, run_once
from shared.web.problem import FieldError, invalid
from shared.web.routes import RouteClass, Routes

#: At most so many registrations are shown; a caller who finds more adds a word.
MAX_FOUND = 100
#: So many are looked at before it is known which of them the caller may see.
MAX_CANDIDATES = 2_000


class SearchBody(Body):
    """Whole words, without case and accents: each of them has to be found."""

    text: Annotated[ShortText, Field(description="Parts of a name, a student number, or a mail address")]


class Found(Part):
    """The registrations of the students that were found, by departure."""

    registrations: tuple[RegistrationSummary, ...]
    has_more: bool = Field(description="There are more: add a word")


def routes(deps: CommandDeps) -> Routes:
    """The search."""
    router = Routes(RouteClass.USER, tags=["registration"])

    @router.post("/v1/registration-searches", operation_id="searchRegistrations")
    async def search(caller: TaskReader, body: SearchBody, idempotency: Idempotency, response: Response) -> Found:
        """Registrations of students with these words, among those that the caller may see."""
        words = words_in(body.text)
        if not words:
            raise invalid(FieldError("body.text", "has no word to search for"))
        permissions = permissions_of(caller, deps.catalogue)

        async def find(session: Session) -> Answer:
            ids = await deps.store.search.find(hashed(deps.keyring, words), MAX_CANDIDATES)
            query = {"$and": [{"_id": {"$in": ids}}, permissions.registrations_query()]}
            found = await deps.store.page(query, 0, MAX_FOUND + 1)
            return Answer(200, {"registrationIds": [registration.id for registration in found]})

        # The stored answer holds ids alone; names are opened anew for a repeat.
        stored = await run_once(deps.mongo, deps.database, idempotency, find)
        ids = stored.body["registrationIds"]
        visible = {"$and": [{"_id": {"$in": ids[:MAX_FOUND]}}, permissions.registrations_query()]}
        states = [state_of(loaded) for loaded in await deps.store.page(visible, 0, MAX_FOUND)]
        shown = await registration_summaries(deps, states, permissions, "search")
        return Found(registrations=tuple(shown), has_more=len(ids) > MAX_FOUND)

    return router
