"""Safety: how each source that decides is doing, as far as it was told: every failure begun and ended, and now and then
that all is well. What a source says that does not decide is no event.
"""

from collections.abc import Mapping

from services.passage.projections.projection import Comparable, Item
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
    """Read since then it may be; and whatever it leaves out (R14) was not vouched for."""
    if _decides_not(own):
        return set()
    fields = {name for name in ("announcedAt", "failedAt", "failureAnnouncedAt") if wanted[name] != own[name]}
    if wanted["checkedAt"] is not None and (own["checkedAt"] is None or own["checkedAt"] < wanted["checkedAt"]):
        fields.add("checkedAt")
    if not set(own["leftOut"]).isdisjoint(wanted["vouchedFor"]):
        fields.add("leftOut")
    return fields


def _decides_not(own: Comparable) -> bool:
    """Nothing was ever told of it, or not since it ceased to decide."""
    return own["announcedAt"] is None and own["failureAnnouncedAt"] is None


SOURCES = Item(_of_source, _source, _comparable, differing=_differing, is_ahead=_decides_not)
