"""Applies the pure rules of notify and registration to past advice, for safety's back-test."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime

from services.notify.model.shards import person_hash
from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.audience import PastNotification, decide_audience, raises_alert, was_notified
from services.registration.read_models import DecisionInputs
from services.registration.rules.departure import has_departed
from services.registration.rules.places import places
from services.safety.backtest.inputs import Journey
from shared.advice import CountryAdvice
from shared.events import TravelAdviceChanged


class BacktestRules:
    """Decides whom notify would alert and whose clearance registration would suspend. Remembers who was alerted."""

    def __init__(self) -> None:
        self._where: dict[str, Whereabouts] = {}
        self._told: dict[tuple[str, str], list[PastNotification]] = defaultdict(list)

    def raises_alert(self, event: TravelAdviceChanged) -> bool:
        """Notify's rule."""
        return raises_alert(event)

    def is_due(self, journey: Journey, advice: CountryAdvice, today: date) -> bool:
        """R26, R27: whether notify would alert the person, who is alerted only once for the same news."""
        decision = decide_audience(self._whereabouts(journey), advice, today)
        told = self._told[journey.person_id, advice.country]
        if not decision.is_affected or was_notified(decision, told, advice.advice_version):
            return False
        told.append(PastNotification(advice.advice_version, decision.level))
        return True

    def loses_clearance(self, journey: Journey, advice: Mapping[str, CountryAdvice], now: datetime) -> bool:
        """R19: whether registration would suspend the clearance, by the advice of every place, before departure."""
        if has_departed(min(leg.start_date for leg in journey.legs), now):
            return False
        regions = tuple(leg.region for leg in journey.legs)
        return any(
            place.may_be_negative for place in places(journey.legs, DecisionInputs(None, advice, {}, regions), now)
        )

    def _whereabouts(self, journey: Journey) -> Whereabouts:
        known = self._where.get(journey.registration_id)
        if known is None:
            stays = tuple(
                Stay(
                    start_date=leg.start_date,
                    end_date=leg.end_date,
                    country=leg.country,
                    region=leg.region,
                    given_region=leg.region,
                    place=leg.place,
                    since=journey.registered_at,
                )
                for leg in journey.legs
            )
            known = self._where[journey.registration_id] = Whereabouts(
                registration_id=journey.registration_id,
                version=1,
                person_id=journey.person_id,
                hash=person_hash(journey.person_id),
                cancelled=False,
                language="en",
                faculty_id="any",
                programme_id="any",
                stays=stays,
                changed_at=journey.registered_at,
            )
        return known
