"""Rebuilds the state of safety's deciding sources: events report each begin and end of a failure, and successes now and
then. A source that does not decide writes no events.
"""

from collections.abc import Mapping

from services.passage.projections.projection import Comparable, DocumentProjection
from services.safety.store.source_state import SourceState
from shared.audit.evidence import Evidence
from shared.events import SourceChecked, SourceEvent, SourceFailed
from shared.mongo.client import Document


def _of_source(evidence: Evidence) -> Mapping[str, SourceEvent]:
    return {evidence.data.source: evidence.data} if isinstance(evidence.data, SourceEvent) else {}


def _source(former: Document | None, evidence: Evidence, fact: SourceEvent) -> Document:
    state = SourceState.model_validate(former["state"]) if former else SourceState(source=fact.source)
    vouched = former["vouchedFor"] if former else []
    match fact:
        case SourceChecked():
            state = SourceState(source=fact.source, checked_at=fact.checked_at, announced_at=evidence.at)
            vouched = sorted(fact.countries)
        case SourceFailed():
            failed_at = state.failed_at or fact.failed_at
            state = state.model_copy(update={"failed_at": failed_at, "failure_announced_at": evidence.at})
    return {"state": state.model_dump(mode="json", by_alias=True), "vouchedFor": vouched}


def _comparable(document: Document) -> Comparable:
    state = SourceState.model_validate(document["state"])
    return {
        "announcedAt": state.announced_at,
        "failedAt": state.failed_at,
        "failureAnnouncedAt": state.failure_announced_at,
        "checkedAt": state.checked_at,
        "leftOut": state.left_out,
        "vouchedFor": document.get("vouchedFor", []),
    }


def _differing(wanted: Comparable, own: Comparable) -> set[str]:
    """The source may have been read since its last event. It must not vouch for a country that it leaves out (R14)."""
    if _does_not_decide(own):
        return set()
    fields = {name for name in ("announcedAt", "failedAt", "failureAnnouncedAt") if wanted[name] != own[name]}
    if wanted["checkedAt"] is not None and (own["checkedAt"] is None or own["checkedAt"] < wanted["checkedAt"]):
        fields.add("checkedAt")
    if not set(own["leftOut"]).isdisjoint(wanted["vouchedFor"]):
        fields.add("leftOut")
    return fields


def _does_not_decide(own: Comparable) -> bool:
    """No event about the source exists, or none since it ceased to decide."""
    return own["announcedAt"] is None and own["failureAnnouncedAt"] is None


SOURCES = DocumentProjection(_of_source, _source, _comparable, differing=_differing, is_ahead=_does_not_decide)
