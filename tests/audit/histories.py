"""Random histories: the services write events, and a simulated notify reads them in any order, crashes and reads again.

Notify's decisions are the real rules (services/notify/rules, shared/advice). Its steps are repeated here without a
database, so that a thousand histories take seconds. Replacing `decide` plants a fault.

"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.notify.model.shards import person_hash, shard_of
from services.notify.model.whereabouts import Stay, Whereabouts, evolve_whereabouts
from services.notify.rules.audience import (
    AudienceDecision,
    PastNotification,
    decide_audience,
    raises_alert,
    was_notified,
)
from shared.advice import CountryAdvice, evolve
from shared.audit.affected import Affected, NotNotified, SelectionCheck
from shared.audit.reader import Record
from shared.clock import amsterdam_date
from shared.envelope import parse
from shared.events import (
    AdviceSeen,
    AlertRaised,
    AlertTrigger,
    ApprovalRequested,
    AreaChange,
    Event,
    Leg,
    Level,
    LevelChange,
    Recipient,
    RecipientsSelected,
    RegionAdvice,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationEvent,
    RegistrationHeld,
    RegistrationRouted,
    RegistrationSubmitted,
    ReturnRecorded,
    SelectionCompleted,
    StayEnded,
    StudyAnswers,
    TravelAdviceChanged,
)
from tests.audit.log import START, Log

COUNTRIES = ("ES", "IT")
REGIONS = {"ES": ("ES-AN", "ES-MD"), "IT": ("IT-82", "IT-25")}
TOWNS = {"Sevilla": "ES-AN", "Palermo": "IT-82"}
SHARDS = 3
SEALED = "sealed:v1:person:event:AAAA"
ABOUT = {"faculty_id": "f", "programme_id": "p", "activity_type": "internship"}

#: Notify's model may not know overdue returns and imports yet: then they do not happen in these histories.
RETURNS = "ended" in Whereabouts.model_fields
IMPORTS = "imported" in Stay.model_fields

#: decide(whereabouts, advice, today, words): words are the types of the registration's facts so far
Decide = Callable[[Whereabouts, CountryAdvice, date, Sequence[str]], AudienceDecision]


def rightly(where: Whereabouts, advice: CountryAdvice, today: date, _: Sequence[str]) -> AudienceDecision:
    """The real decision."""
    return decide_audience(where, advice, today)


def resolve(country: str, place: str) -> str | None:
    """A gazetteer of two towns."""
    region = TOWNS.get(place)
    return region if region and region.startswith(country) else None


class Crash(Exception):
    """Notify dies here; what it committed before stays."""


@dataclass
class Alert:
    """One alert as notify keeps it."""

    advice: CountryAdvice
    trigger: AlertTrigger
    as_of: datetime
    offsets: dict[str, dict[str, int]]
    is_selected: bool
    shards: set[int]
    told: dict[str, Level]


class Notify:
    """The state and the steps of notify (services/notify/audience), one step after the other."""

    def __init__(self, log: Log, decide: Decide) -> None:
        self.log = log
        self.decide = decide
        self.committed: dict[str, dict[str, int]] = defaultdict(dict)
        self.lives = -1
        self._where: dict[str, Whereabouts] = {}
        self._words: dict[str, list[str]] = defaultdict(list)
        self._advice: dict[str, CountryAdvice] = {}
        self._raises: dict[str, int] = {}
        self._alerts: dict[str, Alert] = {}

    def registrations(self, records: Sequence[Record], now: datetime) -> None:
        """Store the whereabouts, then look up the advice; commit the offsets at the end."""
        moved = []
        for record in records:
            envelope = parse(record.value)
            fact = envelope.data
            if not isinstance(fact, RegistrationEvent):
                continue
            before = self._where.get(envelope.subject)
            after = evolve_whereabouts(before, fact, envelope.streamversion, envelope.time, resolve)
            if after is not None:
                self._where[envelope.subject] = after
                if after is not before:
                    self._words[envelope.subject].append(envelope.type)
            if isinstance(fact, RegistrationSubmitted) and after is not None:
                moved.append(after)
        self._crash()
        persons = {where.person_id for where in moved}
        for country in sorted({stay.country for where in moved for stay in where.stays}):
            self._select(country, persons, now)
        self._commit(records)

    def advice(self, records: Sequence[Record], now: datetime) -> None:
        """Store the advice, then scan the whereabouts; commit the offsets at the end."""
        for record in records:
            envelope = parse(record.value)
            fact = envelope.data
            assert isinstance(fact, TravelAdviceChanged)
            before = self._advice.get(fact.country)
            after = evolve(before, fact, envelope.id, envelope.time)
            if after is not before:
                self._advice[fact.country] = after
                self._raises[fact.country] = fact.advice_version if raises_alert(fact) else 0
            self._crash()
            self.everybody(fact.country, now)
        self._commit(records)

    def everybody(self, country: str, now: datetime) -> None:
        """Run the selection of the current advice when it asks for one, then add late arrivals."""
        advice = self._advice.get(country)
        if advice is None or not advice.is_negative_somewhere:
            return
        self._passed(advice, now)
        self._select(country, None, now)

    def sweep(self, now: datetime) -> None:
        """Finish open selection runs, and check every country."""
        for alert_id, alert in sorted(self._alerts.items()):
            self._complete(alert_id, alert, now)
        for country in sorted(self._advice):
            self.everybody(country, now)

    def by_hand(self, country: str, area: str | None, now: datetime) -> None:
        """A safety officer writes to everyone who is in a country or region."""
        advice = self._advice.get(country)
        if advice is None:
            return
        alert_id = f"m-{len(self._alerts)}"
        alert = self._raise(alert_id, advice, AlertTrigger.MANUAL, now, area)
        today = amsterdam_date(now)
        there = {
            where.person_id: where
            for where in self._where.values()
            if not where.cancelled and any(stay.country == country and _is_there(where, stay, today) and
                                           (area is None or stay.region in (None, area)) for stay in where.stays)
        }  # fmt: skip
        for person, where in sorted(there.items()):
            self._recipients(alert_id, 0, [(where, area or country, Level.YELLOW)], late=False, now=now)
            alert.told[person] = Level.YELLOW
        self._completed(alert_id, alert, now)

    # ------------------------------------------------------------ the steps

    def _passed(self, advice: CountryAdvice, now: datetime) -> None:
        for alert_id, alert in sorted(self._alerts.items()):
            if alert.advice.country == advice.country:
                self._complete(alert_id, alert, now)
        if self._raises[advice.country] == advice.advice_version:
            alert_id = f"{advice.country}-{advice.advice_version}"
            alert = self._alerts.get(alert_id) or self._raise(alert_id, advice, AlertTrigger.ADVICE_CHANGED, now)
            self._complete(alert_id, alert, now)

    def _select(self, country: str, persons: set[str] | None, now: datetime) -> None:
        advice = self._advice.get(country)
        if advice is None or not advice.is_negative_somewhere:
            return
        due = self._due(advice, now, persons)
        if not due:
            return
        self._passed(advice, now)
        due = self._untold(advice, due)
        if not due:
            return
        alert_id = f"{country}-{advice.advice_version}"
        alert = self._alerts.get(alert_id) or self._raise(alert_id, advice, AlertTrigger.LATE_ARRIVAL, now)
        self._crash()
        for where, chance in due:
            self._tell(alert_id, alert, shard_of(where.hash, SHARDS), [(where, chance)], late=True, now=now)

    def _complete(self, alert_id: str, alert: Alert, now: datetime) -> None:
        if alert.is_selected:
            return
        for shard in range(SHARDS):
            if shard in alert.shards:
                continue
            due = [
                (where, chance)
                for where, chance in self._due(alert.advice, alert.as_of, None)
                if shard_of(person_hash(where.person_id), SHARDS) == shard
            ]
            self._tell(alert_id, alert, shard, self._untold(alert.advice, due), late=False, now=now)
            alert.shards.add(shard)
            self._crash()
        self._completed(alert_id, alert, now)

    def _due(
        self, advice: CountryAdvice, now: datetime, persons: set[str] | None
    ) -> list[tuple[Whereabouts, AudienceDecision]]:
        found: dict[str, tuple[Whereabouts, AudienceDecision]] = {}
        for registration, where in sorted(self._where.items()):
            if persons is not None and where.person_id not in persons:
                continue
            chance = self.decide(where, advice, amsterdam_date(now), self._words[registration])
            known = found.get(where.person_id)
            if chance.is_affected and (known is None or chance.level > known[1].level):
                found[where.person_id] = (where, chance)
        return list(found.values())

    def _untold(
        self, advice: CountryAdvice, due: list[tuple[Whereabouts, AudienceDecision]]
    ) -> list[tuple[Whereabouts, AudienceDecision]]:
        told: dict[str, list[PastNotification]] = defaultdict(list)
        for alert in self._alerts.values():
            if alert.advice.country == advice.country and alert.trigger is not AlertTrigger.MANUAL:
                for person, level in alert.told.items():
                    told[person].append(PastNotification(alert.advice.advice_version, level))
        return [
            person for person in due if not was_notified(person[1], told[person[0].person_id], advice.advice_version)
        ]

    def _raise(
        self, alert_id: str, advice: CountryAdvice, trigger: AlertTrigger, now: datetime, area: str | None = None
    ) -> Alert:
        offsets = {topic: dict(parts) for topic, parts in self.committed.items()}
        is_late = trigger is AlertTrigger.LATE_ARRIVAL
        alert = Alert(advice, trigger, now, {} if is_late else offsets, is_late, set(), {})
        self._alerts[alert_id] = alert
        raised = AlertRaised(
            alert_id=alert_id, trigger=trigger, country=advice.country, advice_version=advice.advice_version,
            advice_event_id=advice.event_id, as_of=now, shard_count=SHARDS, templates={}, area=area,
        )  # fmt: skip
        self.log.append(raised, at=now)
        if is_late:
            self.log.append(SelectionCompleted(alert_id=alert_id, offsets={}, selected=0, unreachable=0), at=now)
        return alert

    def _completed(self, alert_id: str, alert: Alert, now: datetime) -> None:
        alert.is_selected = True
        fact = SelectionCompleted(alert_id=alert_id, offsets=alert.offsets, selected=len(alert.told), unreachable=0)
        self.log.append(fact, at=now)

    def _tell(self, alert_id: str, alert: Alert, shard: int, due: list[tuple[Whereabouts, AudienceDecision]], *,
              late: bool, now: datetime) -> None:  # fmt: skip
        chosen = []
        for where, chance in due:
            assert chance.place is not None
            chosen.append((where, chance.place.area.code or chance.place.area.area, chance.level))
            alert.told[where.person_id] = chance.level
        self._recipients(alert_id, shard, chosen, late=late, now=now)

    def _recipients(self, alert_id: str, shard: int, chosen: list[tuple[Whereabouts, str, Level]], *, late: bool,
                    now: datetime) -> None:  # fmt: skip
        if not chosen:
            return
        recipients = tuple(
            Recipient(
                person_id=where.person_id, registration_id=where.registration_id,
                registration_version=where.version, reason="country", area=area, level=level, channels=(),
            )
            for where, area, level in chosen
        )  # fmt: skip
        self.log.append(RecipientsSelected(alert_id=alert_id, shard=shard, late=late, recipients=recipients), at=now)

    def _commit(self, records: Sequence[Record]) -> None:
        for record in records:
            known = self.committed[record.topic]
            known[str(record.partition)] = max(known.get(str(record.partition), 0), record.offset + 1)

    def _crash(self) -> None:
        self.lives -= 1
        if self.lives == 0:
            raise Crash


class History:
    """A whole history: events as they happen, notify's progress in reading them, and the days that pass."""

    def __init__(self, decide: Decide = rightly) -> None:
        self.now = START
        self.approvals = Log("travel.approval.v1")
        self.registrations = Log("travel.registration.v1", partitions=2)
        self.advice = Log("travel.advice.v1", partitions=2)
        self.notify = Notify(Log("travel.notification.v1", partitions=2), decide)
        self._legs: dict[str, tuple[Leg, ...]] = {}
        self._ended: set[str] = set()
        self._level: dict[str, Level] = {}
        self._regions: dict[str, dict[str, Level]] = {country: {} for country in COUNTRIES}
        self._versions: dict[str, int] = defaultdict(int)

    @property
    def registered(self) -> list[str]:
        """The registrations that are not cancelled."""
        return sorted(self._legs)

    # ------------------------------------------------------------ facts

    def register(self, person: int, legs: Sequence[Leg], *, imported: bool = False) -> None:
        """A student registers, asks for approval, or changes a registration."""
        name = f"p{person}"
        kind = RegistrationChanged if f"r-{name}" in self._legs else RegistrationSubmitted
        if kind is RegistrationSubmitted:
            asked = ApprovalRequested(
                approval_id=f"a-{name}", person_id=name, country=legs[0].country, start_date=legs[0].start_date,
                end_date=legs[0].end_date, description=None, catalogue_version="c", **ABOUT,
            )  # fmt: skip
            self.approvals.append(asked, at=self._later())
        self._legs[f"r-{name}"] = tuple(legs)
        self._state(
            kind(
                registration_id=f"r-{name}", person_id=name, approval_id=f"a-{name}", legs=tuple(legs), contact=SEALED,
                answers=StudyAnswers(credits=True, university_funding=False, transcript_entry=False),
                study_related=True, language="nl", imported=imported, **ABOUT,
            )
        )  # fmt: skip

    def leg(self, country: str, start: int, length: int, region: str | None, place: str | None = None) -> Leg:
        """A leg that begins `start` days from today."""
        first = amsterdam_date(self.now) + timedelta(start)
        return Leg(start_date=first, end_date=first + timedelta(length), country=country, region=region, place=place)

    def decide(self, registration: str, kind: type[Event]) -> None:
        """A rule or a person decides about the clearance. That changes nobody's whereabouts."""
        about = {"registration_id": registration, "person_id": registration[2:]}
        seen = (AdviceSeen(country="ES", advice_version=1, level=Level.GREEN),)
        facts = {
            RegistrationHeld: lambda: RegistrationHeld(**about, rule="R2", reason="approval_missing"),
            RegistrationRouted: lambda: RegistrationRouted(**about, rule="R7", reason="late", queue="faculty-contact"),
            RegistrationApproved: lambda: RegistrationApproved(
                **about, reason="approved_and_safe", approval_id=None, advice=seen, decided_by="rules"
            ),
        }
        self._state(facts[kind]())

    def cancel(self, registration: str) -> None:
        """A student cancels."""
        self._state(RegistrationCancelled(registration_id=registration, person_id=registration[2:], cancelled_by="x"))
        del self._legs[registration]
        self._ended.discard(registration)

    def come_back(self, registration: str, outcome: str) -> None:
        """A person's return, or another outcome of the stay, is recorded."""
        about = {"registration_id": registration, "person_id": registration[2:], "on": amsterdam_date(self.now)}
        self._state(ReturnRecorded(**about, outcome=outcome, recorded_by="officer"))

    def advise(self, country: str, level: Level, region: str | None = None, text_only: bool = False) -> None:
        """The advice of a country or a region changes. The first reading is the baseline."""
        before, regions = self._level.get(country), dict(self._regions[country])
        if region is None:
            after = level
        else:
            after = before if before is not None else Level.GREEN
            self._regions[country][region] = level
        self._versions[country] += 1
        self._level[country] = after
        listed = tuple(
            RegionAdvice(area=name, code=None if name == "grensgebied" else name, before=regions.get(name), after=now)
            for name, now in sorted(self._regions[country].items())
        )
        changes = [AreaChange(area=country, before=before, after=after)]
        changes += [AreaChange(area=area.code or area.area, before=area.before, after=area.after) for area in listed]
        change = LevelChange(before=before, after=after)
        fact = TravelAdviceChanged(
            country=country, advice_version=self._versions[country], baseline=self._versions[country] == 1,
            ministry=change, effective=change, regions=listed, source="netherlands",
            changes=tuple(change for change in changes if change.before != change.after), source_version="1",
            parser_version=1, effective_at=self.now, text_nl="", text_en="", url="", decided_by="rules",
        )  # fmt: skip
        self.advice.append(fact, at=self._later())

    def next_day(self) -> None:
        """A day passes; the scheduler says which stays are over."""
        self.now += timedelta(days=1)
        today = amsterdam_date(self.now)
        for registration, legs in sorted(self._legs.items()):
            if RETURNS and registration not in self._ended and max(leg.end_date for leg in legs) < today:
                self._ended.add(registration)
                self._state(StayEnded(registration_id=registration, person_id=registration[2:], on=today))

    # ------------------------------------------------------------ notify

    def read(self, topic: str, partition: int, count: int, lives: int = -1) -> None:
        """Notify reads the next records; with `lives`, it crashes at that step and keeps what it had committed."""
        log = self.registrations if topic == self.registrations.topic else self.advice
        at = self.notify.committed[topic].get(str(partition), 0)
        records = [record for record in log.records if record.partition == partition][at : at + count]
        self._run(lives, lambda: self._handle(topic, records))

    def read_again(self, topic: str, partition: int) -> None:
        """Kafka redelivers a partition from the beginning up to notify's committed offset."""
        log = self.registrations if topic == self.registrations.topic else self.advice
        at = self.notify.committed[topic].get(str(partition), 0)
        self._handle(topic, [record for record in log.records if record.partition == partition][:at])

    def sweep(self, lives: int = -1) -> None:
        """Notify's sweep."""
        self._run(lives, lambda: self.notify.sweep(self._later()))

    def by_hand(self, country: str, area: str | None) -> None:
        """An officer's own alert."""
        self.notify.by_hand(country, area, self._later())

    def settle(self) -> None:
        """Notify reads everything to the end and sweeps."""
        for log in (self.registrations, self.advice):
            for partition in range(2):
                self.read(log.topic, partition, len(log.records))
        self.sweep()

    # ------------------------------------------------------------ the auditor

    def audit(self) -> tuple[list[SelectionCheck], list[NotNotified]]:
        """The audit's result, from the records alone."""
        affected = Affected(resolve)
        for log in (self.registrations, self.advice, self.notify.log):
            for record in log.records:
                affected.feed(record)
        return [affected.verdict(alert) for alert in affected.alerts], affected.not_notified(self.now)

    def _handle(self, topic: str, records: Sequence[Record]) -> None:
        if topic == self.registrations.topic:
            self.notify.registrations(records, self._later())
        else:
            self.notify.advice(records, self._later())

    def _run(self, lives: int, work: Callable[[], None]) -> None:
        self.notify.lives = lives
        try:
            work()
        except Crash:
            pass
        finally:
            self.notify.lives = -1

    def _state(self, fact: Event) -> None:
        self.registrations.append(fact, at=self._later())

    def _later(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def _is_there(where: Whereabouts, stay: Stay, today: date) -> bool:
    """R26, for a manual alert."""
    grace = timedelta(days=1)
    if not stay.start_date - grace <= today:
        return False
    if RETURNS and where.returned_on is not None and today > where.returned_on + grace:
        return False
    is_last = stay.end_date == max(visit.end_date for visit in where.stays)
    return today <= stay.end_date + grace or (RETURNS and is_last and where.ended and where.returned_on is None)
