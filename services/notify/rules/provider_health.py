"""Whether a provider takes our messages, and what an operator has to do when it does not. Pure.

Three things are wrong: it refuses our account (at once), it has accepted nothing for a minute although it was asked, or
it refuses at least half of what it gets.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Nothing accepted for this long although messages were offered: more than a short interruption.
REFUSING_LIMIT = timedelta(minutes=1)
#: Attempts that are older say nothing about now. Retries come at least every 5 minutes while a message waits.
RECENT = timedelta(minutes=15)
#: The share of recent answers that were no acceptance; of fewer answers than this it says nothing.
REFUSED_SHARE_LIMIT, FEWEST_ANSWERS = 0.5, 20

#: What an operator does next; docs/operations.md has the page.
MEND_ACCOUNT = "mend our account, sender or address at the provider; messages wait and then leave by themselves"
LOOK_AT_PROVIDER = "see whether the provider is reachable and well; messages are retried by themselves"
LOOK_AT_REFUSALS = "see the reasons of refused deliveries: passage audit replay --type NotificationsFailed"


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """State of a provider. `refused_at`, `refused_code`: the last answer that was no acceptance, of any kind.

    `failing_since`: the first answer after the last acceptance that was no verdict on the message itself.
    `account_refused_at`, `account_code`: the last refusal of our account. `answers`, `refusals`: within `RECENT`.
    """

    accepted_at: datetime | None = None
    refused_at: datetime | None = None
    refused_code: str = ""
    failing_since: datetime | None = None
    account_refused_at: datetime | None = None
    account_code: str = ""
    answers: int = 0
    refusals: int = 0

    @property
    def refused_share(self) -> float:
        """The share of recent answers that were no acceptance."""
        return self.refusals / self.answers if self.answers else 0.0

    @property
    def is_account_refused(self) -> bool:
        """It refused our account, and has accepted nothing since."""
        return self.account_refused_at is not None and not self._accepted_after(self.account_refused_at)

    def _accepted_after(self, moment: datetime) -> bool:
        return self.accepted_at is not None and self.accepted_at > moment


@dataclass(frozen=True, slots=True)
class ProviderVerdict:
    """`detail` names the fault, or says that there is none; `next_step` is empty when an operator has nothing to do."""

    is_well: bool
    detail: str
    next_step: str = ""


def judge_provider(record: ProviderRecord, now: datetime) -> ProviderVerdict:
    """Whether the provider takes our messages."""
    if record.is_account_refused:
        return ProviderVerdict(False, f"refuses our account (code {record.account_code})", MEND_ACCOUNT)
    if _accepts_nothing(record, now):
        return ProviderVerdict(
            False, f"has accepted nothing for more than a minute (code {record.refused_code})", LOOK_AT_PROVIDER
        )
    if record.answers >= FEWEST_ANSWERS and record.refused_share >= REFUSED_SHARE_LIMIT:
        percent = round(record.refused_share * 100)
        return ProviderVerdict(
            False, f"did not accept {percent} % of recent messages (code {record.refused_code})", LOOK_AT_REFUSALS
        )
    if record.accepted_at is None and record.refused_at is None:
        return ProviderVerdict(True, "nothing was sent yet")
    return ProviderVerdict(True, "accepts")


def _accepts_nothing(record: ProviderRecord, now: datetime) -> bool:
    since, last = record.failing_since, record.refused_at
    if since is None or last is None or (record.accepted_at is not None and record.accepted_at >= since):
        return False
    return now - since >= REFUSING_LIMIT and now - last <= RECENT
