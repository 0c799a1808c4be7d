"""The recipients of one selection, stored as columns.

Thousands of recipients share one message: their common part is one `MessageVariant`, stored and parsed once. So a
million recipients are written and read without a million objects (docs/decisions/0019-selections-in-columns.md).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, overload

import orjson

from shared.events import Channel, Level, Presence

#: Stands in a delivery id where the recipient is the mailbox of a function of the university and not a person.
NO_PERSON = "coordinator"


class Recipient(NamedTuple):
    """One recipient of a selection. The mailbox of a function has neither a person nor a registration.

    `kind`: which message, see services/notify/messages. `mailbox`: its address; `called`: the function's name.
    `about`: the registration of the student whom a message to a function names.
    """

    person_id: str | None
    registration_id: str | None
    kind: str
    language: Literal["nl", "en"]
    channels: tuple[Channel, ...]
    registration_version: int = 0
    area: str = ""
    level: Level | None = None
    reason: str = ""
    mailbox: str | None = None
    called: str = ""
    presence: Presence = Presence.THERE
    about: str | None = None

    @property
    def who(self) -> str:
        """The part of a delivery id that names the recipient."""
        return self.person_id or NO_PERSON


class MessageVariant(NamedTuple):
    """What several recipients share: everything that their message depends on, except name and address."""

    kind: str
    language: Literal["nl", "en"]
    channels: tuple[Channel, ...]
    area: str = ""
    level: Level | None = None
    reason: str = ""
    mailbox: str | None = None
    called: str = ""
    presence: Presence = Presence.THERE
    about: str | None = None


class RecipientColumns(Sequence[Recipient]):
    """Recipients in a fixed order, one value in each column. `variant_index` points into `variants`."""

    __slots__ = ("persons", "registrations", "variant_index", "variants", "versions")

    def __init__(
        self,
        persons: Sequence[str | None],
        registrations: Sequence[str | None],
        versions: Sequence[int],
        variant_index: Sequence[int],
        variants: Sequence[MessageVariant],
    ) -> None:
        self.persons = persons
        self.registrations = registrations
        self.versions = versions
        self.variant_index = variant_index
        self.variants = variants

    @classmethod
    def from_recipients(cls, recipients: Iterable[Recipient]) -> "RecipientColumns":
        """Columns of a few recipients. A selection run fills the columns itself, without an object for each person."""
        numbers: dict[MessageVariant, int] = {}
        persons, registrations, versions, variant_index = [], [], [], []
        for recipient in recipients:
            variant = MessageVariant(
                recipient.kind, recipient.language, recipient.channels, recipient.area, recipient.level,
                recipient.reason, recipient.mailbox, recipient.called, recipient.presence, recipient.about,
            )  # fmt: skip
            persons.append(recipient.person_id)
            registrations.append(recipient.registration_id)
            versions.append(recipient.registration_version)
            variant_index.append(numbers.setdefault(variant, len(numbers)))
        return cls(persons, registrations, versions, variant_index, tuple(numbers))

    @classmethod
    def decode(cls, packed: bytes) -> "RecipientColumns":
        """The columns that `encode` packed."""
        persons, registrations, versions, variant_index, variants = orjson.loads(packed)
        return cls(
            persons, registrations, versions, variant_index, tuple(_decode_variant(*fields) for fields in variants)
        )

    def encode(self) -> bytes:
        """The columns as one JSON array, as the database stores them."""
        return orjson.dumps(
            [self.persons, self.registrations, self.versions, self.variant_index, list(map(_stored, self.variants))]
        )

    @property
    def count_by_channel(self) -> dict[str, int]:
        """How many recipients each channel has."""
        return {channel.value: len(self.indices_for(channel)) for channel in Channel}

    @property
    def registrations_named(self) -> set[str]:
        """The registrations of the students whom messages to functions are about."""
        return {variant.about for variant in self.variants if variant.about is not None}

    @property
    def unreachable(self) -> int:
        """How many recipients have no usable channel."""
        without_channel = {number for number, variant in enumerate(self.variants) if not variant.channels}
        return sum(1 for number in self.variant_index if number in without_channel) if without_channel else 0

    def indices_for(self, channel: Channel) -> tuple[int, ...]:
        """The indices of the recipients that get their message over this channel."""
        using = {number for number, variant in enumerate(self.variants) if channel in variant.channels}
        if len(using) == len(self.variants):
            return tuple(range(len(self.variant_index)))
        return tuple(index for index, number in enumerate(self.variant_index) if number in using)

    def variants_of(self, persons: Collection[str]) -> Iterator[tuple[str, MessageVariant]]:
        """The recipients among these persons, each with the variant they share with others."""
        for index, person in enumerate(self.persons):
            if person is not None and person in persons:
                yield person, self.variants[self.variant_index[index]]

    def __len__(self) -> int:
        return len(self.variant_index)

    @overload
    def __getitem__(self, index: int) -> Recipient: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Recipient, ...]: ...
    def __getitem__(self, index: int | slice) -> Recipient | tuple[Recipient, ...]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        variant = self.variants[self.variant_index[index]]
        kind, language, channels, area, level, reason, mailbox, called, presence, about = variant
        return Recipient(
            self.persons[index], self.registrations[index], kind, language, channels, self.versions[index], area,
            level, reason, mailbox, called, presence, about,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecipientColumns) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def _stored(variant: MessageVariant) -> tuple[object, ...]:
    """The fields as they are stored; the last ones only where they say something, as older selections have them."""
    if variant.about is not None:
        return tuple(variant)
    return tuple(variant[:-2] if variant.presence is Presence.THERE else variant[:-1])


def _decode_variant(
    kind: str,
    language: Literal["nl", "en"],
    channels: list[str],
    area: str,
    level: int | None,
    reason: str,
    mailbox: str | None,
    called: str,
    presence: str = Presence.THERE,
    about: str | None = None,
) -> MessageVariant:
    return MessageVariant(
        kind, language, tuple(map(Channel, channels)), area, None if level is None else Level(level), reason, mailbox,
        called, Presence(presence), about,
    )  # fmt: skip
