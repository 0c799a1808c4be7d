"""The recipients of one selection as columns: what thousands have in common is kept once, and read once."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, overload

import orjson

from shared.events import Channel, Level

#: Who stands for a function's mailbox where a person would.
NO_PERSON = "coordinator"


class Chosen(NamedTuple):
    """One recipient of a selection. A role's mailbox has no person and no registration.

    `kind`: of message, services/notify/messages. `mailbox`: address of a function, never of a person; `called`: what
    it is called in its mail.
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

    @property
    def who(self) -> str:
        """The part of the delivery's id that names the recipient."""
        return self.person_id or NO_PERSON


class Variant(NamedTuple):
    """What recipients have in common: all that their messages depend on but their names and addresses."""

    kind: str
    language: Literal["nl", "en"]
    channels: tuple[Channel, ...]
    area: str = ""
    level: Level | None = None
    reason: str = ""
    mailbox: str | None = None
    called: str = ""


class Roll(Sequence[Chosen]):
    """Recipients in a fixed order. `which` points into `variants`; every other column has a value for each of them."""

    __slots__ = ("persons", "registrations", "variants", "versions", "which")

    def __init__(
        self,
        persons: Sequence[str | None],
        registrations: Sequence[str | None],
        versions: Sequence[int],
        which: Sequence[int],
        variants: Sequence[Variant],
    ) -> None:
        self.persons = persons
        self.registrations = registrations
        self.versions = versions
        self.which = which
        self.variants = variants

    @classmethod
    def of_chosen(cls, recipients: Iterable[Chosen]) -> "Roll":
        """A few, one by one."""
        variants: dict[Variant, int] = {}
        persons, registrations, versions, which = [], [], [], []
        for each in recipients:
            variant = Variant(
                each.kind, each.language, each.channels, each.area, each.level, each.reason, each.mailbox, each.called
            )
            persons.append(each.person_id)
            registrations.append(each.registration_id)
            versions.append(each.registration_version)
            which.append(variants.setdefault(variant, len(variants)))
        return cls(persons, registrations, versions, which, tuple(variants))

    @classmethod
    def unpacked(cls, packed: bytes) -> "Roll":
        """What `packed` made."""
        persons, registrations, versions, which, variants = orjson.loads(packed)
        return cls(persons, registrations, versions, which, tuple(_variant(*each) for each in variants))

    def packed(self) -> bytes:
        """As it is kept."""
        return orjson.dumps(
            [self.persons, self.registrations, self.versions, self.which, list(map(tuple, self.variants))]
        )

    @property
    def tally(self) -> dict[str, int]:
        """Channel → how many are told over it."""
        return {channel.value: len(self.over(channel)) for channel in Channel}

    @property
    def unreachable(self) -> int:
        """How many have no usable channel."""
        mute = {number for number, variant in enumerate(self.variants) if not variant.channels}
        return sum(1 for each in self.which if each in mute) if mute else 0

    def over(self, channel: Channel) -> tuple[int, ...]:
        """The indices of those who are told over a channel."""
        heard = {number for number, variant in enumerate(self.variants) if channel in variant.channels}
        if len(heard) == len(self.variants):
            return tuple(range(len(self.which)))
        return tuple(index for index, each in enumerate(self.which) if each in heard)

    def of(self, persons: Collection[str]) -> Iterator[tuple[str, Variant]]:
        """Those of these persons who are in it."""
        for index, person in enumerate(self.persons):
            if person is not None and person in persons:
                yield person, self.variants[self.which[index]]

    def __len__(self) -> int:
        return len(self.which)

    @overload
    def __getitem__(self, index: int) -> Chosen: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Chosen, ...]: ...
    def __getitem__(self, index: int | slice) -> Chosen | tuple[Chosen, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        kind, language, channels, area, level, reason, mailbox, called = self.variants[self.which[index]]
        return Chosen(
            self.persons[index], self.registrations[index], kind, language, channels, self.versions[index], area,
            level, reason, mailbox, called,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Roll) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def _variant(
    kind: str,
    language: Literal["nl", "en"],
    channels: list[str],
    area: str,
    level: int | None,
    reason: str,
    mailbox: str | None,
    called: str,
) -> Variant:
    known = None if level is None else Level(level)
    return Variant(kind, language, tuple(map(Channel, channels)), area, known, reason, mailbox, called)
