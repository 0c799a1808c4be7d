"""From an advice to everyone it affects: the alert, the pass over the whereabouts, and those who come later (R26, R27).

Every step may be repeated by anybody at any time: what was made already is met again by its id.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, TypeVar

import orjson

from services.notify.columns.recipient_columns import MessageVariant, RecipientColumns
from services.notify.columns.registration_snapshot import RegistrationSnapshot, micros
from services.notify.messages.content import ALERT_KINDS
from services.notify.model.shards import MOST_ENTRIES, shard_of, shard_range
from services.notify.rules.audience import AudienceDecision, Reason, decide_audience, is_there, not_yet_notified
from services.notify.rules.listed import is_listed
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import Alert, AlertStore, Selection
from services.notify.store.deliveries import DeliveryStore
from services.notify.store.send_queue import EMERGENCY, SendJob, SendQueue, send_jobs
from services.notify.store.whereabouts import WhereaboutsStore
from shared.advice import NEGATIVE, AreaAdvice, CountryAdvice, HowAffected, Since
from shared.bus.outbox import Outbox
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.errors import TransientError
from shared.events import (
    AlertRaised,
    AlertTrigger,
    Channel,
    Level,
    RecipientsSelected,
    RegistrationEvent,
    SelectionCompleted,
    TravelAdviceChanged,
)
from shared.ids import derived_id
from shared.mongo.client import DuplicateKeyError, Mongo, Session
from shared.observability.logs import get_logger
from shared.testing.failpoints import failpoint

#: Registrations that a shard holds, about: one selection, one send job for each channel.
SHARD_SIZE, LARGEST_SHARD, MANY_SHARDS = 400, 2_000, 250
#: Registrations that are selected in one transaction, at most about.
AT_ONCE = 8_000
DECISIONS_KEPT = 10_000
ALL_CHANNELS = tuple(Channel)
ATTEMPTS = 8

log = get_logger()
T = TypeVar("T")

#: topic -> partition -> next offset; what is below has had its effect on the whereabouts
Offsets = Callable[[str], Coroutine[Any, Any, dict[int, int]]]


@dataclass(frozen=True, slots=True)
class SelectionDeps:
    """Where a selection gets its facts and leaves its work."""

    mongo: Mongo
    outbox: Outbox
    whereabouts: WhereaboutsStore
    advice: AdviceStore
    alerts: AlertStore
    send_queue: SendQueue
    deliveries: DeliveryStore
    offsets: Offsets
    templates: dict[str, str]
    drill_list: frozenset[str] = frozenset()


class AffectedPerson(NamedTuple):
    """Somebody to be told: the registration in the worst place, and the newest one for how to reach them."""

    where: RegistrationSnapshot
    chance: AudienceDecision
    reach: RegistrationSnapshot


async def select_late(
    deps: SelectionDeps, countries: set[str], persons: set[str], *, cause: Cause, now: datetime
) -> None:
    """These persons have just come or changed: tell them what is negative where they are."""
    for country in await deps.advice.negative(countries):
        advice = await deps.advice.get(country)
        if advice is not None:
            where = await deps.whereabouts.of_persons(country, persons)
            await _select(deps, advice, where, cause=cause, now=now)


async def select_everybody(deps: SelectionDeps, country: str, *, cause: Cause, now: datetime) -> None:
    """The pass of the current advice, when it asks for one; then whoever else is due there and was not told."""
    advice = await deps.advice.get(country)
    if advice is None or not advice.is_negative_somewhere:
        return
    if await _passed(deps, advice, cause=cause, now=now):
        return  # everybody was looked at just now; the sweep looks once more, in nobody's way
    async for batch in _everybody(deps, country):
        await _select(deps, advice, batch, cause=cause, now=now)
    await deps.advice.note_swept(country, advice.advice_version, amsterdam_date(now))


async def sweep(deps: SelectionDeps, cause: Cause, now: datetime) -> None:
    """Finish what was begun, and look at every negative country once a day and once for each version.

    An alert that nobody could raise while Kafka is away is raised here: without offsets the audit knows nobody who
    must have been selected, but everybody is told.
    """

    deps = without_kafka(deps)
    for alert in await deps.alerts.unselected():
        await complete(deps, alert, cause=cause, now=now)
    await deps.advice.release_due(now)
    for country in await deps.advice.unswept(amsterdam_date(now)):
        await select_everybody(deps, country, cause=cause, now=now)


def without_kafka(deps: SelectionDeps) -> SelectionDeps:
    """The same deps, for which Kafka may be away: then an alert stands on no offsets."""

    async def offsets_or_none(topic: str, known: Offsets = deps.offsets) -> dict[int, int]:
        try:
            return await known(topic)
        except TransientError as error:
            log.warning("offsets_not_known", topic=topic, error=type(error).__name__)
            return {}

    return replace(deps, offsets=offsets_or_none)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom an alert by hand would reach. `uncertain`: their place cannot be resolved, they are told all the same."""

    recipients: int
    unreachable: int
    uncertain: int
    by_region: dict[str, int]


async def preview(deps: SelectionDeps, country: str, region: str | None, *, is_drill: bool, now: datetime) -> Reach:
    """Whom an alert by hand would select now: the same look as the pass itself."""
    advice = by_hand(country, region, None, now)
    total, unreachable, uncertain = 0, 0, 0
    regions: dict[str, int] = defaultdict(int)
    decide = decider(advice, amsterdam_date(now))
    async for batch in _everybody(deps, country):
        due = _due(batch, decide)
        channels = await _channels(deps, due, is_drill=is_drill)
        for each in due:
            known = channels.get(each.reach.registration_id, ())
            if is_drill and not known:
                continue
            assert each.chance.place is not None
            total += 1
            unreachable += not known
            uncertain += each.chance.place.how is HowAffected.UNRESOLVED_PLACE
            regions[_region_of(each.where, country, now) or ""] += 1
    return Reach(total, unreachable, uncertain, dict(sorted(regions.items())))


async def _everybody(deps: SelectionDeps, country: str) -> AsyncIterator[list[RegistrationSnapshot]]:
    """Everybody with a leg in the country; no person is in two batches."""
    parts = _shards(await deps.whereabouts.count(country))
    for part in range(parts):
        batch = await deps.whereabouts.in_range(country, *shard_range(part, parts))
        if batch:
            yield batch


def _region_of(seen: RegistrationSnapshot, country: str, now: datetime) -> str | None:
    where = seen.whereabouts()
    here = [stay for stay in where.stays if stay.country == country and is_there(where, stay, amsterdam_date(now))]
    return here[0].region if here else None


def by_hand(country: str, region: str | None, known: CountryAdvice | None, now: datetime) -> CountryAdvice:
    """A place of an officer's choice as an advice: the same selection decides who is in it, sure or perhaps."""
    version = known.advice_version if known else 1
    since = Since(advice_version=version, at=now, baseline=False)

    def area(code: str, level: Level) -> AreaAdvice:
        began = since if level is Level.RED else None
        return AreaAdvice(area=code, code=code, level=level, orange_since=began, red_since=began)

    return CountryAdvice(
        country=country,
        advice_version=version,
        event_id=known.event_id if known else "none",
        changed_at=now,
        source="university",
        whole=area(country, Level.RED if region is None else Level.GREEN),
        regions=() if region is None else (area(region, Level.RED),),
        effective_at=now,
        text_nl="",
        text_en="",
        url="",
    )


async def planned(
    deps: SelectionDeps,
    country: str,
    region: str | None,
    words: Mapping[str, str],
    *,
    is_drill: bool,
    raised_by: str,
    now: datetime,
) -> Alert:
    """An alert by hand with all but its id: what the pass will stand on. Kafka may be away."""
    deps = without_kafka(deps)
    known = await deps.advice.get(country)
    offsets = await _offsets(deps)
    shard_count = _shards(await deps.whereabouts.count(country))
    advice = by_hand(country, region, known, now)
    return Alert(
        alert_id=f"{country}-m",
        country=country,
        advice_version=advice.advice_version,
        trigger=AlertTrigger.DRILL if is_drill else AlertTrigger.MANUAL,
        as_of=now,
        shard_count=shard_count,
        offsets=offsets,
        advice=advice,
        area=region,
        message_nl=words["nl"],
        message_en=words["en"],
        raised_by=raised_by,
        noted_level=known.worst if known else None,
    )


async def put_by_hand(deps: SelectionDeps, plan: Alert, cause: Cause, now: datetime, session: Session) -> Alert:
    """Raise it, in the caller's transaction: from here on the pass is somebody's duty."""
    await deps.alerts.lock_country(plan.country, session)
    number = await deps.alerts.count_by_hand(plan.country, session) + 1
    alert = plan.model_copy(update={"alert_id": f"{plan.country}-m{number}"})
    event = AlertRaised(
        alert_id=alert.alert_id,
        trigger=alert.trigger,
        country=alert.country,
        advice_version=alert.advice_version,
        advice_event_id=alert.advice.event_id,
        as_of=alert.as_of,
        shard_count=alert.shard_count,
        templates=deps.templates,
        area=alert.area,
        message_nl=alert.message_nl,
        message_en=alert.message_en,
        raised_by=alert.raised_by,
    )
    draft = Draft(event, derived_id("alert-raised", alert.alert_id))
    await deps.outbox.append([draft], expected=0, cause=cause, now=now, session=session)
    await deps.alerts.put(alert, session)
    return alert


def _shards(registrations: int) -> int:
    """Small shards, so that the first of them leave at once; larger ones where there would be too many."""
    size = min(LARGEST_SHARD, max(SHARD_SIZE, registrations // MANY_SHARDS))
    return max(1, -(-registrations // size))


async def _offsets(deps: SelectionDeps) -> dict[str, dict[str, int]]:
    """Taken before the pass: what stands below them is in the whereabouts that the pass will read."""
    return {
        topic: {str(each): offset for each, offset in (await deps.offsets(topic)).items()}
        for topic in (RegistrationEvent.topic, TravelAdviceChanged.topic)
    }


async def complete(deps: SelectionDeps, alert: Alert, *, cause: Cause, now: datetime) -> Alert:
    """The pass: everyone affected, shard after shard, each in one transaction; a shard that is there is left alone."""
    if alert.is_selected or alert.is_closed:
        return alert
    done = await deps.alerts.selected_shards(alert.alert_id)
    decide = decider(alert.advice, amsterdam_date(alert.as_of))
    left = [shard for shard in range(alert.shard_count) if shard not in done]

    async def keep(ready: _Ready) -> None:
        await _keep(deps, ready)
        await failpoint("mid_selection")

    keeping: asyncio.Task[None] | None = None
    try:
        async with aclosing(_read_ahead(deps, alert, left)) as ahead:
            async for where in ahead:
                ready = await _ready(deps, alert, _due(where, decide), late=False, cause=cause, now=now)
                if keeping is not None:
                    await keeping
                keeping = asyncio.create_task(keep(ready))
        if keeping is not None:
            await keeping
    finally:
        await _dropped(keeping)
    return await _completed(deps, alert, cause, now)


async def _dropped(task: "asyncio.Task[Any] | None") -> None:
    """Whatever became of it: it does not go on behind anybody's back."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def _read_ahead(
    deps: SelectionDeps, alert: Alert, shards: Sequence[int]
) -> AsyncGenerator[list[RegistrationSnapshot], None]:
    """Whoever is in these shards, a few shards at once; the next are read while those before them are kept.

    One shard first, so that its messages leave at once; then twice as many as before, while they stay a few thousand.
    """

    async def read(here: Sequence[int]) -> list[RegistrationSnapshot]:
        first, after = shard_range(here[0], alert.shard_count)[0], shard_range(here[-1], alert.shard_count)[1]
        return await deps.whereabouts.in_range(alert.country, first, after)

    here = _run(shards, 1)
    ahead = asyncio.create_task(read(here)) if here else None
    try:
        while ahead is not None:
            found = await ahead
            shards = shards[len(here) :]
            fit = AT_ONCE * len(here) // max(1, len(found))
            here = _run(shards, max(1, min(2 * len(here), fit)))
            ahead = asyncio.create_task(read(here)) if here else None
            yield found
    finally:
        await _dropped(ahead)


def _run(shards: Sequence[int], most: int) -> Sequence[int]:
    """The first of these shards that follow one upon the other."""
    for length in range(1, min(most, len(shards))):
        if shards[length] != shards[0] + length:
            return shards[:length]
    return shards[:most]


def _by_shard(due: Iterable[AffectedPerson], shard_count: int) -> dict[int, list[AffectedPerson]]:
    shards: dict[int, list[AffectedPerson]] = defaultdict(list)
    for each in due:
        shards[shard_of(each.where.hash, shard_count)].append(each)
    return shards


async def _passed(deps: SelectionDeps, advice: CountryAdvice, *, cause: Cause, now: datetime) -> bool:
    """Every pass of the country is over, the oldest first, and so is that of this advice when it asks for one.

    True: this very pass was made here, from its beginning to its end, for today.
    """
    for alert in await deps.alerts.unselected(advice.country):
        await complete(deps, alert, cause=cause, now=now)
    if not await deps.advice.raises_alert(advice.country, advice.advice_version):
        return False
    alert = await _raised(deps, advice, AlertTrigger.ADVICE_CHANGED, cause, now)
    after = await complete(deps, alert, cause=cause, now=now)
    is_new = not alert.is_selected and alert.as_of == now
    return is_new and after.is_selected


async def _select(
    deps: SelectionDeps, advice: CountryAdvice, where: Sequence[RegistrationSnapshot], *, cause: Cause, now: datetime
) -> None:
    """Tell who is due among these and was not told. `where` holds whole persons."""
    due = _due(where, decider(advice, amsterdam_date(now)))
    if not due:
        return
    # Who is in a pass and who came late is only certain when the pass is over.
    await _passed(deps, advice, cause=cause, now=now)
    due = await _untold(deps, advice, due)
    if not due or not await deps.advice.is_current(advice.country, advice.advice_version):
        return  # whoever keeps a newer advice looks at everybody after that
    current = await _raised(deps, advice, AlertTrigger.LATE_ARRIVAL, cause, now)
    current = await complete(deps, current, cause=cause, now=now)  # raised by somebody at this very moment
    if current.is_closed:
        return
    await _keep(deps, await _ready(deps, current, due, late=True, cause=cause, now=now))


async def _untold(
    deps: SelectionDeps,
    advice: CountryAdvice,
    due: list[AffectedPerson],
    session: Session | None = None,
    *,
    passing: str | None = None,
) -> list[AffectedPerson]:
    """Those whom no alert of the country has told of this yet (R27), with the worst place that is news to them.

    `passing`: the alert whose pass this is; nobody else selects for it, and its own shards are met by their ids.
    """
    versions = await deps.alerts.versions(advice.country, session)
    first = _news_since(advice)
    recent = {alert: version for alert, version in versions.items() if version >= first and alert != passing}
    told = await deps.alerts.told(recent, {each.where.person_id for each in due} if recent else (), session)
    if not told:
        return due
    left = []
    for each in due:
        chance = not_yet_notified(each.chance, told.get(each.where.person_id, ()), advice.advice_version)
        if chance is not None:
            left.append(each._replace(chance=chance))
    return left


def _news_since(advice: CountryAdvice) -> int:
    """What was told under an older version than this tells nobody of what is so bad now."""
    since = [
        area.red_since if area.level is Level.RED else area.orange_since
        for area in (advice.whole, *advice.regions)
        if area.level is not None and area.level >= NEGATIVE
    ]
    return min((each.advice_version for each in since if each is not None), default=advice.advice_version)


def _due(
    where: Iterable[RegistrationSnapshot], decide: Callable[[RegistrationSnapshot], AudienceDecision]
) -> list[AffectedPerson]:
    """One entry for each affected person: the worst of their registrations, reached as the newest one says."""
    persons: dict[str, AffectedPerson] = {}
    for each in where:
        chance = decide(each)
        if chance.reason is not Reason.AFFECTED:
            continue
        known = persons.get(each.person_id)
        if known is None:
            persons[each.person_id] = AffectedPerson(each, chance, each)
            continue
        reach = each if each.changed_at > known.reach.changed_at else known.reach
        if chance.level > known.chance.level:
            persons[each.person_id] = AffectedPerson(each, chance, reach)
        else:
            persons[each.person_id] = known._replace(reach=reach)
    return list(persons.values())


def decider(advice: CountryAdvice, today: date) -> Callable[[RegistrationSnapshot], AudienceDecision]:
    """`decide_audience` for many: whoever is in the same places on the same days is decided once.

    When a leg was added decides only where an advice stood at the baseline: then whether it was after that.
    """
    since = [each for area in (advice.whole, *advice.regions) for each in (area.orange_since, area.red_since)]
    baselines = sorted({micros(each.at) for each in since if each is not None and each.baseline})
    known: dict[str | tuple[str, tuple[bool, ...]], AudienceDecision] = {}

    def decide(seen: RegistrationSnapshot) -> AudienceDecision:
        key: str | tuple[str, tuple[bool, ...]] = seen.places
        if baselines:
            key = (seen.places, tuple([added > at for added in seen.since for at in baselines]))
        found = known.get(key)
        if found is None:
            if len(known) >= DECISIONS_KEPT:
                known.clear()
            found = known[key] = decide_audience(seen.whereabouts(), advice, today)
        return found

    return decide


async def _raised(
    deps: SelectionDeps, advice: CountryAdvice, trigger: AlertTrigger, cause: Cause, now: datetime
) -> Alert:
    """The alert of this advice: made now, or met again. R27: at most one for each (country, advice version).

    Raised for a late arrival it has no pass, and says so in the same moment.
    """
    alert_id = f"{advice.country}-{advice.advice_version}"
    known = await deps.alerts.get(alert_id)
    if known is not None:
        return known
    shard_count = 1
    offsets: dict[str, dict[str, int]] = {}
    has_pass = trigger is AlertTrigger.ADVICE_CHANGED
    if has_pass:
        offsets = await _offsets(deps)
        shard_count = _shards(await deps.whereabouts.count(advice.country))
    alert = Alert(
        alert_id=alert_id,
        country=advice.country,
        advice_version=advice.advice_version,
        trigger=trigger,
        as_of=now,
        shard_count=shard_count,
        offsets=offsets,
        advice=advice,
        is_selected=not has_pass,
    )
    event = AlertRaised(
        alert_id=alert_id,
        trigger=trigger,
        country=advice.country,
        advice_version=advice.advice_version,
        advice_event_id=advice.event_id,
        as_of=now,
        shard_count=shard_count,
        templates=deps.templates,
    )

    async def work(session: Session) -> Alert:
        met = await deps.alerts.get(alert_id, session)
        if met is not None:
            return met
        drafts = [Draft(event, derived_id("alert-raised", alert_id))]
        if not has_pass:
            drafts.append(_completion(SelectionCompleted(alert_id=alert_id, offsets={}, selected=0, unreachable=0)))
        await deps.outbox.append(drafts, expected=0, cause=cause, now=now, session=session)
        await deps.alerts.put(alert, session)
        return alert

    kept = await _repeated(deps, work)
    log.info("alert_raised", alert_id=alert_id, country=advice.country, version=advice.advice_version,
             kind=trigger.value, count=shard_count)  # fmt: skip
    return kept


def _completion(event: SelectionCompleted) -> Draft:
    return Draft(event, derived_id("selection-completed", event.alert_id))


async def _completed(deps: SelectionDeps, alert: Alert, cause: Cause, now: datetime) -> Alert:
    """Say that the pass is over, once."""
    selected, unreachable = await deps.alerts.totals(alert.alert_id)

    async def work(session: Session) -> Alert:
        current = await deps.alerts.get(alert.alert_id, session)
        assert current is not None
        if current.is_selected:
            return current
        event = SelectionCompleted(
            alert_id=alert.alert_id, offsets=alert.offsets, selected=selected, unreachable=unreachable
        )
        expected = await deps.outbox.version(alert.alert_id, session)
        await deps.outbox.append([_completion(event)], expected=expected, cause=cause, now=now, session=session)
        after = current.model_copy(update={"is_selected": True, "selected": selected, "unreachable": unreachable})
        await deps.alerts.put(after, session)
        return after

    after = await _repeated(deps, work)
    log.info("selection_completed", alert_id=alert.alert_id, selected=selected, unreachable=unreachable)
    return after


class _Made(NamedTuple):
    """What selecting the people of one shard makes."""

    selection: Selection
    drafts: list[Draft]
    jobs: list[SendJob]


@dataclass(frozen=True, slots=True)
class _Ready:
    """What keeping these people takes; `made` is what comes of it when nobody else has told any of them."""

    alert: Alert
    due: list[AffectedPerson]
    channels: Mapping[str, tuple[Channel, ...]]
    late: bool
    cause: Cause
    now: datetime
    made: list[_Made]

    def of(self, left: list[AffectedPerson]) -> list[_Made]:
        """What comes of it for those who are left."""
        shards = _by_shard(left, self.alert.shard_count)
        return [self.of_shard(shard, here) for shard, here in shards.items()]

    def of_shard(self, shard: int, due: Sequence[AffectedPerson]) -> _Made:
        """The selection of one shard."""
        return _selected(self.alert, shard, due, self.channels, self.late, self.cause, self.now)


async def _ready(
    deps: SelectionDeps, alert: Alert, due: list[AffectedPerson], *, late: bool, cause: Cause, now: datetime
) -> _Ready:
    """Everything that can be made before its turn, while others are kept: between two shards they go on."""
    channels = await _channels(deps, due, is_drill=alert.trigger is AlertTrigger.DRILL)
    if alert.trigger is AlertTrigger.DRILL:
        due = [each for each in due if each.reach.registration_id in channels]

    ready = _Ready(alert, due, channels, late, cause, now, [])
    for shard, here in _by_shard(due, alert.shard_count).items():
        ready.made.append(ready.of_shard(shard, here))
        await asyncio.sleep(0)
    return ready


async def _keep(deps: SelectionDeps, ready: _Ready) -> None:
    """A selection for each shard: recipients, the facts, and the work to send, in one transaction, without whom others
    told.
    """
    alert, due, late = ready.alert, ready.due, ready.late
    if not due:
        return

    async def work(session: Session) -> None:
        # Passes, late arrivals and other versions of the advice select at the same time: in a country one after
        # the other, so that each sees whom the others have told.
        await deps.alerts.lock_country(alert.country, session)
        if not late and not await deps.alerts.is_being_selected(alert.alert_id, session):
            return  # somebody else's pass is over: who is due still is found as a late arrival
        if late and not await deps.advice.is_current(alert.country, alert.advice_version, session):
            return
        passing = None if late else alert.alert_id
        left = due if alert.is_by_hand else await _untold(deps, alert.advice, due, session, passing=passing)
        made = ready.made if left is due else ready.of(left)
        met = await deps.alerts.made([each.selection.selection_id for each in made], session)
        made = [each for each in made if each.selection.selection_id not in met]
        if not made:
            return
        await deps.alerts.insert_selections([each.selection for each in made], session)
        versions = await deps.outbox.versions([each.drafts[0].data.stream for each in made], session)
        drafts = [draft for each in made for draft in each.drafts]
        await deps.outbox.append(drafts, expected=versions, cause=ready.cause, now=ready.now, session=session)
        await deps.send_queue.add([job for each in made for job in each.jobs], ready.now, session)

    await _repeated(deps, work)
    deps.send_queue.announce()


async def _channels(
    deps: SelectionDeps, due: Sequence[AffectedPerson], *, is_drill: bool
) -> Mapping[str, tuple[Channel, ...]]:
    """Registration → over which channels its person is told. A drill reaches only addresses on its list."""
    if not is_drill:
        return {each.reach.registration_id: ALL_CHANNELS for each in due if each.reach.is_reachable}
    channels = {}
    registrations = [each.reach.registration_id for each in due]
    for registration, contact in (await deps.whereabouts.contacts(registrations)).items():
        addresses = {Channel.EMAIL: contact.email, Channel.SMS: contact.mobile}
        listed = tuple(channel for channel in Channel if is_listed(addresses[channel], deps.drill_list))
        if listed:
            channels[registration] = listed
    return channels


def _selected(
    alert: Alert,
    shard: int,
    due: Sequence[AffectedPerson],
    channels: Mapping[str, tuple[Channel, ...]],
    late: bool,
    cause: Cause,
    now: datetime,
) -> _Made:
    """What selecting these people makes: the selection, the facts of it, and one send job for each channel."""
    suffix = f":{derived_id('late', *(each.where.person_id for each in due))}" if late else ""
    selection_id = f"{alert.alert_id}:{shard}{suffix}"
    numbers: dict[tuple[int, str, tuple[Channel, ...]], int] = {}
    variants: list[MessageVariant] = []
    which = []
    for _, chance, reach in due:
        # People in one place have one and the same decision (`decider`): whoever shares it shares the message.
        key = (id(chance), reach.language, channels.get(reach.registration_id, ()))
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(variants)
            variants.append(_variant(alert, chance, reach.language, key[2]))
        which.append(number)
    roll = RecipientColumns(
        [each.where.person_id for each in due],
        [each.reach.registration_id for each in due],
        [each.where.version for each in due],
        which,
        variants,
    )
    made = Selection(
        selection_id=selection_id,
        alert_id=alert.alert_id,
        shard=shard,
        late=late,
        at=now,
        recipients=roll,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
    )
    drafts = recipients_selected(made, [each.where.registration_id for each in due])
    return _Made(made, drafts, send_jobs(made, EMERGENCY))


def _variant(
    alert: Alert, chance: AudienceDecision, language: Literal["nl", "en"], channels: tuple[Channel, ...]
) -> MessageVariant:
    place = chance.place
    assert place is not None
    kind, level = ALERT_KINDS[place.how.value], chance.level
    if alert.is_by_hand:
        kind = "drill" if alert.trigger is AlertTrigger.DRILL else "manual"
        level = alert.noted_level or Level.GREEN  # what is known of the country; the message names no colour
    return MessageVariant(kind, language, channels, place.area.code or place.area.area, level, place.how.value)


def recipients_selected(made: Selection, registrations: Sequence[str]) -> list[Draft]:
    """`RecipientsSelected`, a few hundred in each: who, why, and the registrations that were looked at.

    Written as their models would write them, without making thousands of models.
    """
    roll = made.recipients
    shared = [
        {"reason": each.reason, "area": each.area, "level": each.level, "channels": each.channels}
        for each in roll.variants
    ]
    recipients = [
        {"personId": person, "registrationId": registration, "registrationVersion": version, **shared[number]}
        for person, registration, version, number in zip(
            roll.persons, registrations, roll.versions, roll.variant_index, strict=True
        )
    ]
    event = RecipientsSelected.model_construct(alert_id=made.alert_id, shard=made.shard, late=made.late, recipients=())
    head = {"alertId": made.alert_id, "shard": made.shard, "late": made.late}
    return [
        Draft(
            event,
            derived_id("recipients-selected", made.selection_id, str(first)),
            orjson.dumps({**head, "recipients": recipients[first : first + MOST_ENTRIES]}),
        )
        for first in range(0, len(recipients), MOST_ENTRIES)
    ]


async def _repeated(deps: SelectionDeps, work: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """A transaction that somebody else's write may push aside: looked at again, a few times."""
    for _ in range(ATTEMPTS):
        try:
            return await deps.mongo.transaction(work)
        except DuplicateKeyError:
            continue
    raise TransientError("a stream is being written all the time")
