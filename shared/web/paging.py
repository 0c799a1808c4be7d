"""Pages of lists, as in OEAPI v6: `pageSize`, `pageNumber`, `hasPreviousPage`, `hasNextPage`, `items`."""

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import AfterValidator

from shared.events import Part

T = TypeVar("T")

#: Source: OEAPI v6.
SIZES = (10, 20, 50, 100, 250)


class Page(Part, Generic[T]):
    """One page of a list."""

    page_size: int
    page_number: int
    has_previous_page: bool
    has_next_page: bool
    items: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Paging:
    """The requested page: its size and its number, from 1."""

    size: int
    number: int

    @property
    def skip(self) -> int:
        """How many entries come before this page."""
        return (self.number - 1) * self.size

    @property
    def fetch(self) -> int:
        """How many entries to read: one more than the page holds, to know whether there is a next page."""
        return self.size + 1

    def page(self, entries: list[T], *, has_next: bool | None = None) -> Page[T]:
        """The page, from up to `fetch` entries. `has_next`: known already, where only the page's entries are given."""
        return Page(
            page_size=self.size,
            page_number=self.number,
            has_previous_page=self.number > 1,
            has_next_page=len(entries) > self.size if has_next is None else has_next,
            items=tuple(entries[: self.size]),
        )


def _known_size(value: int) -> int:
    if value not in SIZES:
        raise ValueError(f"is not one of {', '.join(map(str, SIZES))}")
    return value


async def paging(
    page_size: Annotated[
        int, Query(alias="pageSize", json_schema_extra={"enum": list(SIZES)}), AfterValidator(_known_size)
    ] = 50,
    page_number: Annotated[int, Query(alias="pageNumber", ge=1, le=100_000)] = 1,
) -> Paging:
    """The requested page, as a FastAPI dependency."""
    return Paging(page_size, page_number)


Paged = Annotated[Paging, Depends(paging)]
