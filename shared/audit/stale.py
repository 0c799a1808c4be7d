"""Finds approvals decided on travel advice that was not the newest, or not fresh, at that moment (R10, R14)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.audit.evidence import Evidence
from shared.events import RegistrationApproved, SourceChecked, TravelAdviceChanged


@dataclass(frozen=True, slots=True)
class StaleApproval:
    """One approval, the advice version it names, and the reason why that version was stale."""

    registration_id: str
    decided_at: datetime
    decided_by: str
    country: str
    advice_version: int
    reason: str
    event: str


class StaleApprovals:
    """Takes every event in total order. Memory grows with the number of countries and sources only."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, str]] = {}
        self._fresh_until: dict[str, datetime] = {}

    def take(self, evidence: Evidence) -> Iterator[StaleApproval]:
        """Yield one finding for each stale advice that an approval names; nothing for other events."""
        match evidence.data:
            case TravelAdviceChanged() as data:
                self._newest[data.country] = (data.advice_version, data.source)
            case SourceChecked() as data:
                self._fresh_until[data.source] = data.fresh_until
            case RegistrationApproved() as data:
                for seen in data.advice:
                    reason = self._reason(seen.country, seen.advice_version, evidence.at)
                    if reason:
                        yield StaleApproval(data.registration_id, evidence.at, data.decided_by, seen.country,
                                    seen.advice_version, reason, evidence.id)  # fmt: skip
            case _:
                return

    def _reason(self, country: str, version: int, at: datetime) -> str:
        newest, source = self._newest.get(country, (0, ""))
        if version < newest:
            return f"version {newest} was out already"
        until = self._fresh_until.get(source)
        if until is not None and at > until:
            return f"{source} was last fresh until {until:%Y-%m-%d %H:%M} UTC"
        return "nothing was known of the country" if newest == 0 else ""
