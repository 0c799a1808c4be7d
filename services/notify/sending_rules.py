"""Sender addresses, chunk sizes and allow-lists: the settings that apply to every message. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.notify.rules.listed import is_listed
from shared.events import Channel


@dataclass(frozen=True, slots=True)
class SendingRules:
    """Senders, chunk sizes and allow-lists. A crash leaves at most one chunk of each worker unknown.

    `bounce_address`: `local@domain` of the mailbox that takes bounces; each mail gets `local+<reference>@domain` as
    its envelope sender (VERP). Without it bounces go to `sender`, and nobody reads them. `drill_list`: the addresses
    that a drill may reach.
    """

    sender: str
    answer_base_url: str
    chunk_sizes: Mapping[Channel, int]
    allow_list: frozenset[str] | None = None
    bounce_address: str | None = None
    drill_list: frozenset[str] = frozenset()

    def allows(self, address: str) -> bool:
        """Whether an address or number is on the allow-list; without one, all are allowed."""
        return self.allow_list is None or is_listed(address, self.allow_list)

    def return_path(self, message_reference: str) -> str:
        """The envelope sender of the mail with this reference: where its bounce goes."""
        if self.bounce_address is None:
            return self.sender
        local, _, domain = self.bounce_address.rpartition("@")
        return f"{local}+{message_reference}@{domain}"
