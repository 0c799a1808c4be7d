"""What the safety service is told by its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.safety.rules.bulk_change_guard import GuardLimits
from services.safety.sources.registry import SOURCES
from shared.settings import CommonSettings


def _known(value: str) -> str:
    for name in _names(value):
        if name not in SOURCES:
            raise ValueError(f"{name[:40]} is not one of {', '.join(SOURCES)}")
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in value.split(",") if each.strip())


Address = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=500)]


class FeedSettings(BaseSettings):
    """Which sources are read, where, and how; all that `passage feed check` needs to know."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    feed_url: str = Field(
        default="https://opendata.nederlandwereldwijd.nl/v2/sources/nederlandwereldwijd",
        pattern=r"^https?://\S+$",
        description="Base of the ministry's open data",
    )
    feed_interval_seconds: float = Field(default=300, ge=1, description="From one reading to the next")
    feed_timeout_seconds: float = Field(default=30, gt=0, description="For one page")
    feed_stale_after_seconds: float | None = Field(
        default=None, gt=0, description="A reading stands so long (R14); default three intervals, at least a minute"
    )
    user_agent_contact: str = Field(
        min_length=3,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Where a source can reach us",
    )

    deciding_source: Annotated[str, AfterValidator(_known)] = Field(
        default="netherlands", min_length=1, description="The source whose levels count; the others only inform"
    )
    informing_sources: Annotated[str, AfterValidator(_known)] = Field(
        default="",
        description="Sources that are read and shown beside it, comma-separated: united_kingdom, united_states, "
        "germany, canada; none when empty",
    )
    source_urls: dict[str, Address] = Field(
        default={}, description="JSON: addresses of sources that are not at their usual one, by name"
    )
    informing_interval_seconds: float = Field(
        default=900, ge=1, description="From one reading of an informing source to the next"
    )

    cap_urls: str = Field(
        default="",
        pattern=r"^(https?://[^\s,]+(, *https?://[^\s,]+){0,9})?$",
        max_length=4_000,
        description="Documents of CAP 1.2 messages, comma-separated, as information; none when empty",
    )

    @model_validator(mode="after")
    def _sources_are_known(self) -> "FeedSettings":
        unknown = set(self.source_urls) - set(SOURCES)
        if unknown or "," in self.deciding_source:
            raise ValueError(f"SOURCE_URLS and DECIDING_SOURCE name sources of {', '.join(SOURCES)}")
        return self

    @property
    def secondary(self) -> tuple[str, ...]:
        """The sources that inform, each once; the one that decides is not among them."""
        return tuple(dict.fromkeys(name for name in _names(self.informing_sources) if name != self.deciding_source))

    @property
    def cap(self) -> dict[str, str]:
        """The documents of CAP messages by the name that `GET /v1/sources` shows: cap-1, cap-2."""
        return {f"cap-{number}": url for number, url in enumerate(_names(self.cap_urls), start=1)}

    def url_of(self, source: str) -> str:
        """Where a source is asked."""
        usual = self.feed_url if source == "netherlands" else SOURCES[source].url
        return self.source_urls.get(source, usual)

    @property
    def stale_after_seconds(self) -> float:
        """How long a reading stands."""
        return self.feed_stale_after_seconds or max(60.0, 3 * self.feed_interval_seconds)


class Settings(CommonSettings, FeedSettings):
    """Every variable of the service; the common ones in shared/settings.py."""

    fall_confirmation_seconds: float = Field(
        default=1_800, ge=0, description="A level that falls is believed when a reading so much later says the same"
    )
    mass_fall_countries: int = Field(
        default=10, ge=1, description="More countries than this that fall in one batch are held for a person"
    )
    mass_rise_share: float = Field(
        default=0.25, gt=0, le=1, description="Above this share of all countries a batch that rises is a flood"
    )
    mass_rise_seconds: float = Field(
        default=180, ge=0, description="Alerts of a flood wait so long for a person, then they leave; 0 turns it off"
    )
    parser_hold_seconds: float = Field(
        default=1_800,
        ge=0,
        description="The same for what only a new parser reads worse",
    )
    mass_release_two_persons: bool = Field(default=False, description="Two persons release a mass fall")
    unknown_share: float = Field(
        default=0.05, gt=0, le=1, description="A batch in which more of all countries turn unknown is refused"
    )
    vanished_grace_seconds: float = Field(
        default=604_800, ge=0, description="A country that is missing for longer is put before a person"
    )
    frozen_after_seconds: float = Field(
        default=604_800, gt=0, description="A source in which nothing moved for so long is an alarm"
    )

    @property
    def limits(self) -> GuardLimits:
        """The thresholds of the rules."""
        return GuardLimits(
            alert_hold=timedelta(seconds=self.mass_rise_seconds),
            parser_hold=timedelta(seconds=self.parser_hold_seconds),
            max_improvements=self.mass_fall_countries,
            deterioration_share=self.mass_rise_share,
            unknown_share=self.unknown_share,
            grace=timedelta(seconds=self.vanished_grace_seconds),
        )
