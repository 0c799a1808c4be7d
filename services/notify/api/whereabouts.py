"""Who is where, and how to reach them, for safety officers and crisis teams. Every request is logged with its count.

For a past time the answer uses only the registration events known then; for a future day, the planned stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime, Field

from services.notify.api.not_assessable import count_not_assessable
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.not_alerted import NotAlerted, registrations_not_alerted, why_not_alerted
from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.places import open_places
from services.notify.rules.audience import GRACE, stay_there
from services.notify.rules.registered_twice import registered_twice
from services.notify.store.unjudged import Judging
from services.notify.store.whereabouts import WhereaboutsStore
from shared.advice import CountryAdvice
from shared.bus.bus import Bus
from shared.clock import amsterdam_date, end_of_day, utc_now
from shared.events import Part, RegistrationEvent
from shared.fields import CountryCode, RegionOfCountry, is_region_of
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.keyring import Keyring
from shared.privacy.processing_log import log_personal_data_read
from shared.web.bodies import PastInstant, TravelDay
from shared.web.identity import Identity, require
from shared.web.paging import Page, Paged, Paging
from shared.web.problem import FieldError, invalid
from shared.web.routes import RouteClass, Routes

Reader = Annotated[Identity, Depends(require("safety-officer", "crisis-team"))]


class WhereaboutsEntry(Part):
    """One person in a place. `isCertain` is false when the requested region is only possible (R16)."""

    person_id: str
    registration_id: str
    country: str
    region: str | None
    place: str | None
    start_date: date
    end_date: date
    is_certain: bool
    is_overdue: bool = Field(default=False, description="The stay is over and no return is recorded")
    not_alerted: NotAlerted | None = Field(
        default=None,
        description="In a place with negative advice, told by no alert. `told_by_no_alert`: the next sweep tells them, "
        "or something is wrong. `not_assessable`: the rules cannot judge it. An officer tells the others",
    )
    contact: ContactDetails | None = Field(description="Where messages go: for the stay, else as registered")
    other_registrations: tuple[str, ...] = Field(
        default=(), description="Further registrations of this person here on this day"
    )
    same_stay_as: str | None = Field(
        default=None, description="A newer registration of the same stay: the person is counted there, and not here"
    )
    registered_contact: ContactDetails | None = Field(
        default=None, description="As registered, when other details were given for the stay"
    )


class WhereaboutsPage(Page[WhereaboutsEntry]):
    """A page of persons. `notAssessable`: parked, or beyond what the rules can judge; nobody knows if they belong."""

    not_assessable: int
    known_until: AwareDatetime | None = Field(
        description="Registrations and changes after this time may be missing; null: not all of them were read yet"
    )


@dataclass(frozen=True, slots=True)
class WhereaboutsApiDeps:
    """What the routes need."""

    selection: SelectionDeps
    bus: Bus
    keyring: Keyring


def routes(deps: WhereaboutsApiDeps) -> Routes:
    """Who is where."""
    router = Routes(RouteClass.USER, tags=["whereabouts"])

    @router.get("/v1/whereabouts", operation_id="listWhereabouts")
    async def whereabouts(
        caller: Reader,
        paged: Paged,
        country: Annotated[CountryCode, Query()],
        region: Annotated[RegionOfCountry | None, Query()] = None,
        at: Annotated[
            TravelDay | None, Query(description="Day in Europe/Amsterdam; a past day as it was known at its end")
        ] = None,
        known_at: Annotated[
            PastInstant | None, Query(alias="knownAt", description="As it was known at this past instant (RFC 3339)")
        ] = None,
        not_alerted: Annotated[
            bool,
            Query(
                alias="notAlerted",
                description="Only persons in a negative place whom no alert told; today, with the days of grace (R26)",
            ),
        ] = False,
    ) -> WhereaboutsPage:
        """Everyone whose stay in the country covers the day; with a region, those who are or may be in it."""
        if region is not None and not is_region_of(region, country):
            raise invalid(FieldError("query.region", "is not a region of the country"))
        now = utc_now()
        today = amsterdam_date(now)
        instant = known_at or (end_of_day(at) if at is not None and at < today else None)
        day = at or amsterdam_date(instant or now)
        advice = await deps.selection.advice.get(country) if day == today and instant is None else None
        if not_alerted:
            if instant is not None or day != today:
                raise invalid(FieldError("query.notAlerted", "is known for today only"))
            rows, reasons = await _not_alerted(deps.selection, country, advice, paged, today)
        else:
            rows = await _there(deps.selection.whereabouts, country, day, instant, paged)
            reasons = await _reasons(deps.selection, advice, [where.person_id for where, _ in rows], today)
        grace = GRACE if not_alerted else timedelta(0)
        shown = {where.person_id for where, _ in rows[: paged.size]}
        own = await deps.selection.whereabouts.registered_for(country, shown) if instant is None else {}

        def entry_of(where: Whereabouts, contact: StudentContact | None) -> tuple[WhereaboutsEntry, str | None] | None:
            stay = stay_there(where, country, region, day, grace)
            if stay is None:
                return None
            entry = _entry(where, stay, region, day, contact, reasons.get(where.registration_id))
            if instant is None:  # of the past only single registrations are known
                twice = registered_twice(where, stay, own[where.person_id], day)
                marks = {"other_registrations": twice.others, "same_stay_as": twice.same_stay_as}
                entry = entry.model_copy(update=marks)
            return entry, stay.place_sealed

        judging = Judging()
        judged = [judging.ask(where, partial(entry_of, where, contact)) for where, contact in rows[: paged.size]]
        entries = [of_registration for of_registration in judged if of_registration is not None]
        await deps.selection.whereabouts.unjudged.note(judging.failed, now)
        persons = await _with_places(
            deps.keyring, [entry for entry, _ in entries], [sealed_place for _, sealed_place in entries]
        )
        read = {person.person_id for person in persons}
        log_personal_data_read("whereabouts", caller.person_id, read, country=country)
        page = paged.page(persons)
        fields = {name: getattr(page, name) for name in Page.model_fields}
        fields["has_next_page"] = len(rows) > paged.size
        known_until = await deps.bus.known_until(RegistrationEvent.topic)
        return WhereaboutsPage(
            **fields,
            not_assessable=await count_not_assessable(deps.bus, deps.selection.whereabouts.unjudged),
            known_until=min(known_until, instant) if known_until and instant else known_until,
        )

    return router


async def _with_places(
    keyring: Keyring, entries: Sequence[WhereaboutsEntry], sealed_places: Sequence[str | None]
) -> list[WhereaboutsEntry]:
    """The entries with their places as they were written; without the place of an erased person."""
    places = await open_places(keyring, sealed_places)
    return [
        entry if sealed is None else entry.model_copy(update={"place": place})
        for entry, sealed, place in zip(entries, sealed_places, places, strict=True)
    ]


Rows = list[tuple[Whereabouts, StudentContact | None]]


async def _there(store: WhereaboutsStore, country: str, day: date, instant: datetime | None, paged: Paging) -> Rows:
    if instant is None:
        return await store.there(country, day, paged.skip, paged.fetch)
    return await store.there_at(country, instant, paged.skip, paged.fetch)


async def _reasons(
    selection: SelectionDeps, advice: CountryAdvice | None, persons: Sequence[str], today: date
) -> Mapping[str, NotAlerted]:
    """Registration → why its person was told by no alert; empty for a day that is not today."""
    if advice is None or not advice.is_negative_somewhere:
        return {}
    registrations = await selection.whereabouts.of_persons(advice.country, persons)
    return await why_not_alerted(selection, advice, registrations, today)


async def _not_alerted(
    selection: SelectionDeps, country: str, advice: CountryAdvice | None, paged: Paging, today: date
) -> tuple[Rows, Mapping[str, NotAlerted]]:
    """A page of the registrations whose person was told by no alert, with the reasons."""
    if advice is None:
        return [], {}
    reasons = await registrations_not_alerted(selection, advice, today)
    ids = list(reasons)[paged.skip : paged.skip + paged.fetch]
    whereabouts = await selection.whereabouts.load(ids)
    contacts = await selection.whereabouts.contacts.students(ids)
    return [(whereabouts[id_], contacts.get(id_)) for id_ in ids if id_ in whereabouts], reasons


def _entry(
    where: Whereabouts,
    stay: Stay,
    region: str | None,
    day: date,
    contact: StudentContact | None,
    not_alerted: NotAlerted | None,
) -> WhereaboutsEntry:
    return WhereaboutsEntry(
        person_id=where.person_id,
        registration_id=where.registration_id,
        country=stay.country,
        region=stay.region,
        place=stay.place,
        start_date=stay.start_date,
        end_date=stay.end_date,
        is_certain=region is None or stay.region == region,
        is_overdue=where.is_overdue and day > stay.end_date,
        not_alerted=not_alerted,
        contact=contact.reached_at if contact is not None else None,
        registered_contact=contact.registered if contact is not None and contact.stay is not None else None,
    )
