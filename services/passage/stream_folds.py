"""The stream folds of all four services: the pure functions by which they build their state."""

from datetime import datetime

from services.approval.model import evolve as evolve_request
from services.approval.model import evolve_pool
from services.notify.model.requests import Request
from services.notify.model.requests import evolve_request as evolve_request_of_mail
from services.notify.model.whereabouts import Whereabouts, evolve_whereabouts
from services.registration.evolve import evolve as evolve_registration
from services.registration.group_trip import evolve_trip
from services.safety.model import evolve as evolve_country
from shared.audit.projections import Fold
from shared.events import (
    AdviceEvent,
    ApprovalEvent,
    Event,
    GroupTripEvent,
    RegistrationEvent,
    SlotEvent,
)
from shared.gazetteer import resolve


def _whereabouts(state: Whereabouts | None, event: Event, at: datetime, version: int) -> Whereabouts | None:
    assert isinstance(event, RegistrationEvent)
    return evolve_whereabouts(state, event, version, at, resolve)


def _request(state: Request | None, event: Event, at: datetime, version: int) -> Request | None:
    assert isinstance(event, ApprovalEvent)
    return evolve_request_of_mail(state, event, version)


STREAM_FOLDS = (
    Fold("approval", "requests", "travel.approval.v1", ApprovalEvent, evolve_request),
    Fold("approval", "pools", "travel.approval.v1", SlotEvent, evolve_pool),
    Fold("registration", "registrations", "travel.registration.v1", RegistrationEvent, evolve_registration),
    Fold("registration", "trips", "travel.registration.v1", GroupTripEvent, evolve_trip),
    Fold("safety", "countries", "travel.advice.v1", AdviceEvent, evolve_country),
    Fold("notify", "requests", "travel.approval.v1", ApprovalEvent, _request),
    Fold("notify", "whereabouts", "travel.registration.v1", RegistrationEvent, _whereabouts),
)
