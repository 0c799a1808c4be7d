"""Content of service mail as the words that its templates may use, in one language. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.notify.messages.office_wording import case_text, days_from_now
from services.notify.messages.plain import shortened
from services.notify.messages.service_content import (
    CaseCount,
    CaseLine,
    OfficeCasesContent,
    OfficeDigestContent,
    OutcomeContent,
    RequestContent,
    SealedWords,
)
from services.notify.messages.service_wording import ACTIVITIES, decision_reason, document_name, listed
from services.notify.messages.wording import Language, day
from shared.clock import amsterdam_date
from shared.country_names import country_name

#: Characters quoted of what a person wrote; the rest stands in the portal.
WORDS_MAX_CHARS = 2_000


def service_context(content: RequestContent | OutcomeContent, language: Language) -> Mapping[str, Any]:
    """The variables of a template of service mail, without those of every message."""
    common = {"programme": content.programme.text(language), "portal_url": content.portal_url, **_words(content)}
    if isinstance(content, RequestContent):
        return {
            **common,
            "request": content.approval_id,
            "activity": ACTIVITIES[language][content.activity],
            "country": country_name(content.country, language),
            "start": day(content.start_date, language),
            "end": day(content.end_date, language),
        }
    return {
        **common,
        "registration": content.registration_id,
        "departure": day(content.departure_date, language),
        "last_day": day(content.return_date, language),
        "countries": listed([country_name(country, language) for country in content.countries], language),
        "why": decision_reason(content.reason, language),
        "rule": content.rule,
        "missing": [document_name(kind) for kind in content.missing],
        "has_left": content.has_left,
    }


def _words(content: SealedWords) -> Mapping[str, str]:
    return {"words": shortened(content.words, WORDS_MAX_CHARS)}


def office_context(content: OfficeCasesContent | OfficeDigestContent, language: Language) -> Mapping[str, Any]:
    """The variables of a mail to an office, without those of every message."""
    if isinstance(content, OfficeDigestContent):
        return {
            "portal_url": content.portal_url,
            "day": day(content.day, language),
            "total": sum(entry.count for entry in content.counts),
            "counts": [_count(entry, language) for entry in content.counts],
        }
    lines = [_line(line, content.today, language) for line in content.lines]
    total = len(lines) + content.more
    first = content.lines[0]
    return {
        "portal_url": content.portal_url,
        "lines": lines,
        "more": content.more,
        "total": total,
        "headline": lines[0]["short"] if total == 1 else _same_kind(content, total, language),
        "about": first.about,
    }


def _same_kind(content: OfficeCasesContent, total: int, language: Language) -> str:
    """What several cases have in common; empty when they differ."""
    kinds = {(line.kind, line.rule if line.kind == "task" else "") for line in content.lines}
    if len(kinds) > 1 or content.more:
        return ""
    (kind, rule), *_ = kinds
    return case_text(kind, rule, total, language)


def _line(line: CaseLine, today: date, language: Language) -> Mapping[str, Any]:
    where = listed([country_name(country, language) for country in line.countries], language)
    when = ""
    if line.starts_on is not None:
        when = f"{day(line.starts_on, language)} ({days_from_now((line.starts_on - today).days, language)})"
    short = ", ".join(filter(None, (case_text(line.kind, line.rule, 1, language), where, when)))
    return {"short": short, "about": line.about}


def _count(entry: CaseCount, language: Language) -> Mapping[str, Any]:
    return {
        "what": case_text(entry.kind, entry.rule, entry.count, language),
        "is_one": entry.count == 1,
        "new": entry.new,
        "late": entry.late,
        "oldest": day(amsterdam_date(entry.oldest), language),
    }
