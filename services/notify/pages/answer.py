"""Renders the answer page: plain HTML without scripts, which loads nothing from elsewhere.

The page shows nothing about the person, because anyone with the link can open it.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.notify.messages.service_wording import listed
from services.notify.messages.wording import Language, colour, other, readable_number
from shared.country_names import country_name
from shared.events import Level
from shared.live_catalogue import LiveCatalogue

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """What the page shows: the alert, and the answer so far. `level` is None when an officer raised the alert."""

    country: str
    level: Level | None = None
    given: Literal["safe", "help"] | None = None
    nothing_chosen: bool = False
    changed_too_often: bool = False


class Pages:
    """Renders the pages in Dutch and English."""

    def __init__(self, live: LiveCatalogue, folder: Path = FOLDER) -> None:
        self._live = live
        self._style = (folder / "page.css").read_text(encoding="utf-8")
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @property
    def headers(self) -> dict[str, str]:
        """The response headers of every page: only its own style may load, and nothing is cached or passed on."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        return {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
                "base-uri 'none'; frame-ancestors 'none'"
            ),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex, nofollow",
        }

    def answer(self, language: Language, page: AnswerPage) -> str:
        """The form, with the answer so far. `?language=` leads to the other language."""
        return self._render(
            "answer",
            language,
            country=country_name(page.country, language),
            colour=colour(page.level, language) if page.level is not None else "",
            given=page.given,
            nothing_chosen=page.nothing_chosen,
            changed_too_often=page.changed_too_often,
        )

    def returned(self, language: Language, countries: Sequence[str], standing: str) -> str:
        """The question whether the person is back: `asked`, `again`, `reported` or `nothing_to_report`."""
        names = listed([country_name(country, language) for country in countries], language)
        return self._render("returned", language, countries=names, standing=standing)

    def unknown_link(self, language: Language) -> str:
        """The page for an unknown link: how to reach us all the same."""
        return self._render("unknown_link", language)

    def failed(self, language: Language) -> str:
        """The page for everything else that goes wrong: how to see whether we have the answer, and how to reach us."""
        return self._render("failed", language)

    def _render(self, name: str, language: Language, **values: object) -> str:
        university = self._live.current.university
        return self._environment.get_template(f"{name}.{language}.html.j2").render(
            language=language,
            other_language=other(language),
            style=self._style,
            university=university.name.text(language),
            emergency_number=readable_number(university.emergency_number),
            emergency_number_short=university.emergency_number,
            emergency_email=university.emergency_email,
            **values,
        )
