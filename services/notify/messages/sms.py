"""An SMS that is rendered once and gets each person's link: in the GSM alphabet, in at most three parts. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from services.notify.messages.gsm import segments
from services.notify.messages.plain import LINK
from services.notify.messages.transliteration import to_gsm

SEGMENT_LIMIT = 3
# The limits that are tried for the name of a place, longest first, until the SMS fits into three parts.
PLACE_LIMITS = (300, 80, 60, 40, 30, 20, 12, 0)


@dataclass(frozen=True, slots=True)
class SmsSkeleton:
    """One SMS without its link."""

    before: str
    after: str

    def render(self, link: str) -> str:
        """The SMS to one person."""
        return f"{self.before}{to_gsm(link)}{self.after}"


def build_sms_skeleton(render: Callable[[int], str], link_length: int) -> SmsSkeleton:
    """The SMS, with the name of the place as long as three parts allow. `render(limit)` returns the text."""
    skeleton = SmsSkeleton("", "")
    for limit in PLACE_LIMITS:
        before, _, after = " ".join(render(limit).split()).partition(LINK)
        skeleton = SmsSkeleton(to_gsm(before), to_gsm(after))
        if segments(skeleton.render("x" * link_length)) <= SEGMENT_LIMIT:
            break
    return skeleton
