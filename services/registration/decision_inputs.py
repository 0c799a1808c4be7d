"""Loads what a decision about a registration rests on: the approval it names, the advice for its countries, …

All reads go to the primary and begin after the caller's own commit, if there was one. That is what lets a
registration and a change of advice at the same moment find each other: see docs/architecture.md, Two streams meet.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.registration.model import Registration
from services.registration.read_models import Approval, DecisionInputs, Freshness
from services.registration.store.registrations import Store
from shared.advice import CountryAdvice
from shared.catalogue import Catalogue
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Mongo

#: resolve(country, place as written) -> ISO 3166-2 region, or None where the region is not certain (R16)
Resolve = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class EvaluationDeps:
    """Where an evaluation reads its inputs and stores its events."""

    mongo: Mongo
    store: Store
    resolve: Resolve
    live: LiveCatalogue

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as the work at hand sees it: one version for each request and each event."""
        return self.live.current


async def load_inputs(deps: EvaluationDeps, registration: Registration, *, cached: bool = False) -> DecisionInputs:
    """The inputs of one registration.

    `cached` reads of each advice only the id of its event, and parses an advice again only when that has changed.
    """
    if not cached:
        return (await load_inputs_of(deps, [registration]))[0]
    advice, sources = await deps.store.read_models.cached_advice(_countries([registration]))
    return _inputs(deps, registration, await _load_approval(deps, registration), advice, sources)


async def load_inputs_of(deps: EvaluationDeps, registrations: Sequence[Registration]) -> list[DecisionInputs]:
    """The inputs of each registration, in the same order; three reads, however many registrations there are."""
    read_models = deps.store.read_models
    approval_ids = [registration.approval_id for registration in registrations if registration.approval_id is not None]
    approvals, advice, sources = await asyncio.gather(
        read_models.approvals(approval_ids), read_models.advice(_countries(registrations)), read_models.sources()
    )
    return [
        _inputs(deps, registration, approvals.get(registration.approval_id or ""), advice, sources)
        for registration in registrations
    ]


async def inputs_unchanged(deps: EvaluationDeps, registration: Registration, inputs: DecisionInputs) -> bool:
    """Whether the approval and the advice are still those in `inputs`. Only ids are read, and the approval."""
    event_ids, _ = await deps.store.read_models.advice_event_ids(_countries([registration]))
    return (
        event_ids == {country: advice.event_id for country, advice in inputs.advice.items()}
        and await _load_approval(deps, registration) == inputs.approval
    )


async def _load_approval(deps: EvaluationDeps, registration: Registration) -> Approval | None:
    if registration.approval_id is None:
        return None
    approvals = await deps.store.read_models.approvals([registration.approval_id])
    return approvals.get(registration.approval_id)


def _countries(registrations: Sequence[Registration]) -> list[str]:
    return sorted({leg.country for registration in registrations for leg in registration.legs})


def _inputs(
    deps: EvaluationDeps,
    registration: Registration,
    approval: Approval | None,
    advice: Mapping[str, CountryAdvice],
    sources: Mapping[str, Freshness],
) -> DecisionInputs:
    required = deps.catalogue.required_documents(
        registration.faculty_id, registration.activity_type, study_related=registration.study_related
    )
    pages = {page.id: page.version for page in deps.catalogue.university.acknowledged}
    return DecisionInputs(approval, advice, sources, _regions(deps, registration), required, pages)


def _regions(deps: EvaluationDeps, registration: Registration) -> tuple[str | None, ...]:
    """R16: the region that the student chose, or the one in which the place lies."""
    return tuple(
        leg.region or leg.place_region or (deps.resolve(leg.country, leg.place) if leg.place else None)
        for leg in registration.legs
    )
