"""Environment variables of the safety service; `passage feed check` reads the part in FeedSettings."""

import json
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.sources.feed import Feed
from services.safety.sources.registry import SOURCES
from shared.environment import EnvironmentSettings
from shared.setting_types import A_YEAR_SECONDS, BaseUrl, Contact, Interval, Seconds, Url, Urls
from shared.settings import CommonSettings

MAX_CAP_URLS = 10
KNOWN = f"must name sources of {', '.join(SOURCES)}"


def _known_sources(value: str) -> str:
    if not set(_names(value)) <= SOURCES.keys():
        raise ValueError(KNOWN)
    return value


def _known_source(value: str) -> str:
    if value not in SOURCES:
        raise ValueError(f"must be one of {', '.join(SOURCES)}")
    return value


def _at_most_ten(value: str) -> str:
    if len(_names(value)) > MAX_CAP_URLS:
        raise ValueError(f"must have at most {MAX_CAP_URLS} addresses")
    return value


def _json_object(value: object) -> object:
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise ValueError("must be a JSON object from names of sources to addresses")
    if not read.keys() <= SOURCES.keys():
        raise ValueError(KNOWN)
    return read


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


class FeedSettings(EnvironmentSettings):
    """Which sources are read, at which address, and how often."""

    feed_url: BaseUrl = Field(
        default="https://opendata.nederlandwereldwijd.nl/v2/sources/nederlandwereldwijd",
        description="Base address of the ministry's open data",
    )
    feed_interval_seconds: float = Field(
        default=300, ge=1, le=A_YEAR_SECONDS, description="Seconds from one reading of the deciding source to the next"
    )
    feed_timeout_seconds: Interval = Field(default=30, description="Seconds for one page")
    feed_stale_after_seconds: Interval | None = Field(
        default=None,
        description="Seconds that a reading stays fresh (R14); default three intervals, and at least a minute",
    )
    user_agent_contact: Contact = Field(
        min_length=3,
        description="Address at which a source can reach us; sent in the User-Agent header",
    )

    deciding_source: Annotated[str, AfterValidator(_known_source)] = Field(
        default="netherlands", description="The source whose levels count; the others are only shown"
    )
    informing_sources: Annotated[str, AfterValidator(_known_sources)] = Field(
        default="",
        description="Secondary sources that are read and shown, comma-separated: united_kingdom, united_states, "
        "germany, canada; none when empty",
    )
    source_urls: Annotated[dict[str, Url], NoDecode, BeforeValidator(_json_object)] = Field(
        default={}, description="JSON: other addresses of sources than the usual ones, by source name"
    )
    informing_interval_seconds: float = Field(
        default=900, ge=1, le=A_YEAR_SECONDS, description="Seconds from one reading of a secondary source to the next"
    )

    cap_urls: Annotated[Urls, AfterValidator(_at_most_ten)] = Field(
        default="",
        max_length=4_000,
        description="Addresses of documents with CAP 1.2 messages, comma-separated, for information; none when empty",
    )

    @property
    def secondary(self) -> tuple[str, ...]:
        """The secondary sources, each once, without the deciding one."""
        return tuple(dict.fromkeys(name for name in _names(self.informing_sources) if name != self.deciding_source))

    @property
    def cap(self) -> dict[str, str]:
        """Addresses of CAP documents by the names that `GET /v1/sources` shows: cap-1, cap-2."""
        return {f"cap-{number}": url for number, url in enumerate(_names(self.cap_urls), start=1)}

    def url_of(self, feed: Feed) -> str:
        """The address at which a source is read."""
        usual = self.feed_url if feed.name == "netherlands" else feed.url
        return self.source_urls.get(feed.name, usual)

    @property
    def stale_after_seconds(self) -> float:
        """How long a reading stays fresh."""
        return self.feed_stale_after_seconds or max(60.0, 3 * self.feed_interval_seconds)


class Settings(CommonSettings, FeedSettings):
    """Every variable of the service; the common ones are in shared/settings.py."""

    fall_confirmation_seconds: Seconds = Field(
        default=1_800,
        description="Seconds after which a second reading that says the same better level confirms it",
    )
    mass_fall_countries: int = Field(
        default=10,
        ge=1,
        le=300,
        description="If more countries than this improve in one batch, a person decides about them",
    )
    mass_rise_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="If more than this share of all countries turns worse and negative in one batch, alerts wait",
    )
    mass_rise_seconds: Seconds = Field(
        default=180,
        description="Seconds that such alerts wait for a person before they leave; 0: they never wait",
    )
    parser_hold_seconds: Seconds = Field(
        default=1_800,
        description="Seconds that alerts wait if only a new parser reads a text as worse; 0: they never wait",
    )
    mass_release_two_persons: bool = Field(
        default=False, description="Two persons must agree to release a hold of many improving countries"
    )
    unknown_share: float = Field(
        default=0.05, gt=0, le=1, description="If more than this share of all countries turns unknown, refuse the batch"
    )
    vanished_grace_seconds: Seconds = Field(
        default=604_800, description="Seconds after which a person is asked about a country that is missing"
    )
    frozen_after_seconds: Interval = Field(
        default=604_800, description="Seconds without any change in a source after which it raises an alarm"
    )

    @property
    def limits(self) -> GuardLimits:
        """The limits of the bulk change guard."""
        return GuardLimits(
            alert_hold=timedelta(seconds=self.mass_rise_seconds),
            parser_hold=timedelta(seconds=self.parser_hold_seconds),
            max_improvements=self.mass_fall_countries,
            deterioration_share=self.mass_rise_share,
            unknown_share=self.unknown_share,
            grace=timedelta(seconds=self.vanished_grace_seconds),
        )
