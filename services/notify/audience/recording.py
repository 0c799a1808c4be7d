"""Stores a prepared audience: recipients, events and send jobs of several shards in one transaction.

No person is notified twice of the same place (R27). Selection runs, late arrivals and other advice versions may select
in a country at the same time; the transaction locks the country, so each sees whom the others have notified.
"""

from dataclasses import replace

from services.notify.audience.already_notified import without_notified
from services.notify.audience.deps import SelectionDeps
from services.notify.audience.preparation import PreparedAudience, PreparedShard
from services.notify.store.alerts import AFTER_CLOSING
from shared.mongo.client import Session


async def record_selections(deps: SelectionDeps, prepared: PreparedAudience) -> None:
    """Store the selections, without persons whom another alert has notified meanwhile, and wake the send workers."""
    if not prepared.affected:
        return

    async def store(session: Session) -> None:
        await deps.alerts.lock_country(prepared.alert.country, session)
        if await _may_still_select(deps, prepared, session):
            timed = await _after_closing(deps, prepared, session)
            shards = await _without_notified_persons(deps, timed, session)
            await _insert(deps, timed, await _without_stored(deps, shards, session), session)

    await deps.mongo.transact(store, what=f"selections of alert {prepared.alert.alert_id}")
    deps.send_queue.announce()


async def _may_still_select(deps: SelectionDeps, prepared: PreparedAudience, session: Session) -> bool:
    """A run selects until it is completed; persons it missed are late arrivals. These need the current advice."""
    alert = prepared.alert
    if prepared.late:
        return await deps.advice.is_current(alert.country, alert.advice_version, session)
    return await deps.alerts.hold_open_run(alert.alert_id, session)


async def _after_closing(deps: SelectionDeps, prepared: PreparedAudience, session: Session) -> PreparedAudience:
    """The audience, dated after the closing of its alert: who is selected by then gets no message any more.

    The alert may have been closed while the audience was prepared, or by a process whose clock is ahead.
    """
    if not prepared.late:
        return prepared  # its alert is open: `hold_open_run` has seen to that
    closed_at = (await deps.alerts.get(prepared.alert.alert_id, session) or prepared.alert).closed_at
    if closed_at is None or prepared.now >= closed_at + AFTER_CLOSING:
        return prepared
    timed = replace(prepared, now=closed_at + AFTER_CLOSING)
    return replace(timed, shards=timed.prepare_again(timed.affected))


async def _without_notified_persons(
    deps: SelectionDeps, prepared: PreparedAudience, session: Session
) -> list[PreparedShard]:
    """The prepared shards; prepared again when another alert has notified some of the persons."""
    alert = prepared.alert
    if alert.is_manual:
        return prepared.shards  # an officer's message is no travel advice: everyone there gets it
    except_alert = None if prepared.late else alert.alert_id
    to_notify = await without_notified(deps, alert.advice, prepared.affected, session, except_alert=except_alert)
    return prepared.shards if to_notify is prepared.affected else prepared.prepare_again(to_notify)


async def _without_stored(deps: SelectionDeps, shards: list[PreparedShard], session: Session) -> list[PreparedShard]:
    """The shards that no other run of the alert has stored."""
    stored = await deps.alerts.selections.existing([shard.selection.selection_id for shard in shards], session)
    return [shard for shard in shards if shard.selection.selection_id not in stored]


async def _insert(
    deps: SelectionDeps, prepared: PreparedAudience, shards: list[PreparedShard], session: Session
) -> None:
    if not shards:
        return
    await deps.alerts.selections.insert([shard.selection for shard in shards], session)
    versions = await deps.outbox.versions([shard.events[0].data.stream for shard in shards], session)
    events = [event for shard in shards for event in shard.events]
    await deps.outbox.append(events, expected=versions, cause=prepared.cause, now=prepared.now, session=session)
    await deps.send_queue.add([job for shard in shards for job in shard.send_jobs], prepared.now, session)
