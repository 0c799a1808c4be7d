"""Inputs of a back-test: dated changes of the past, and journeys, read from JSON lines or invented."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from services.safety.reading import AREA_LENGTH
from shared.errors import PermanentError
from shared.events import Country, Identifier, Leg, LegKind, Level, Part, RegionCode
from shared.plausible import is_in_window

#: Ten times what a university has.
MAX_JOURNEYS = 1_000_000


def _plausible(value: datetime) -> datetime:
    if not is_in_window(value):
        raise ValueError("outside the years 2000 to 2199")
    return value


PastTime = Annotated[AwareDatetime, AfterValidator(_plausible)]


class InputRejected(PermanentError):
    """A file that cannot be replayed; the text names the line."""


class DatedChange(Part):
    """One change of the past. `region` null: the whole country."""

    ts: PastTime
    kind: Literal["level", "country", "regional"]
    country: Country = Field(validation_alias="country_iso2")
    region: RegionCode | None = None
    region_name: str | None = Field(default=None, max_length=AREA_LENGTH, validation_alias="region_name")
    level_before: Level | None = Field(validation_alias="level_before")
    level_after: Level | None = Field(validation_alias="level_after")
    flags: tuple[str, ...] = ()


class Journey(Part):
    """The part of a registration that advice concerns."""

    registration_id: Identifier
    person_id: Identifier
    registered_at: PastTime
    legs: tuple[Leg, ...] = Field(min_length=1)


def read_history(lines: Iterable[str]) -> list[DatedChange]:
    """Changes from JSON lines, oldest first. Raises InputRejected."""
    changes = [_parse_line(DatedChange, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not changes:
        raise InputRejected("no change in it")
    return sorted(changes, key=lambda change: change.ts)


def read_journeys(lines: Iterable[str]) -> list[Journey]:
    """Journeys from JSON lines. Raises InputRejected."""
    return [_parse_line(Journey, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def synthetic_journeys(number: int, history: Sequence[DatedChange]) -> list[Journey]:
    """Invented journeys over the countries and days of a history; the same journeys for the same number."""
    draw = random.Random(number)  # not a secret: a fixed seed makes the result repeatable
    countries = sorted({change.country for change in history})
    regions: dict[str, list[str]] = defaultdict(list)
    for change in history:
        if change.region is not None:
            regions[change.country].append(change.region)
    first, last = history[0].ts, history[-1].ts
    days = (last - first).days + 1
    journeys = []
    for index in range(number):
        country = draw.choice(countries)
        start = first.date() + timedelta(days=draw.randint(-60, days))
        end = start + timedelta(days=draw.randint(14, 180))
        country_regions = regions.get(country)
        region = draw.choice(country_regions) if country_regions and draw.random() < 0.5 else None
        leg = Leg(
            start_date=start, end_date=end, country=country, region=region, place="Example Town", kind=LegKind.STAY
        )
        registered_at = first - timedelta(days=draw.randint(1, 120))
        journeys.append(
            Journey(registration_id=f"r-{index}", person_id=f"p-{index}", registered_at=registered_at, legs=(leg,))
        )
    return journeys


def _parse_line(kind: type[Any], number: int, line: str) -> Any:
    try:
        return kind.model_validate(json.loads(line))
    except (ValueError, ValidationError, RecursionError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, problem["loc"])) + " " + problem["type"] if problem else "is not JSON"
        raise InputRejected(f"line {number}: {where}") from None
