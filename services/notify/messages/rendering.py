"""Every message there is: which templates it has, and how facts become a skeleton in both languages.

All templates are compiled and tried with specimen facts at the start: one that does not work is not found out at night.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from services.notify.messages import markup
from services.notify.messages.content import (
    AlertContent,
    AnswerContent,
    AnyContent,
    ClearanceContent,
    IncidentContent,
    Kind,
    ManualContent,
    RegistrationContent,
    ReminderContent,
    SlotContent,
)
from services.notify.messages.context import context
from services.notify.messages.gsm import segments
from services.notify.messages.plain import LINK, NAME, one_line
from services.notify.messages.skeleton import EmailSkeleton, Headers, build_email_skeleton
from services.notify.messages.sms import SmsSkeleton, build_sms_skeleton
from services.notify.messages.specimens import SPECIMENS
from services.notify.messages.wording import LANGUAGES, Language, other
from shared.errors import PermanentError

TEMPLATES = Path(__file__).parent.parent / "templates"
SKELETONS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind of message needs and has."""

    facts: type[AnyContent]
    sms: bool
    important: bool


#: Every kind of message. A test compares it with the templates' folder.
FORMS: Mapping[Kind, Form] = {
    "alert_country": Form(AlertContent, sms=True, important=True),
    "alert_region": Form(AlertContent, sms=True, important=True),
    "alert_unresolved": Form(AlertContent, sms=True, important=True),
    "manual": Form(ManualContent, sms=True, important=True),
    "drill": Form(ManualContent, sms=True, important=False),
    "reminder": Form(ReminderContent, sms=True, important=True),
    "clearance_suspended_student": Form(ClearanceContent, sms=False, important=True),
    "clearance_suspended_coordinator": Form(ClearanceContent, sms=False, important=False),
    "clearance_restored": Form(ClearanceContent, sms=False, important=False),
    "advice_improved": Form(AlertContent, sms=False, important=False),
    "answer_received": Form(AnswerContent, sms=False, important=True),
    "incident": Form(IncidentContent, sms=False, important=True),
    "check_advice": Form(RegistrationContent, sms=False, important=False),
    "stay_contact": Form(RegistrationContent, sms=False, important=False),
    "still_correct": Form(RegistrationContent, sms=False, important=False),
    "safety_session": Form(RegistrationContent, sms=False, important=False),
    "slot_promoted": Form(SlotContent, sms=False, important=False),
}


def read_content(kind: str, kept: Mapping[str, Any]) -> AnyContent:
    """The facts of a notice as they were kept with it. Raises PermanentError for a kind that is not known."""
    forms: Mapping[str, Form] = {str(known): form for known, form in FORMS.items()}
    if kind not in forms:
        raise PermanentError(f"no such kind of message: {kind}")
    return forms[kind].facts.model_validate(kept)


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as its reader sees it. `segments`: parts of the SMS, 0 without one."""

    subject: str
    text: str
    sms: str | None
    segments: int


class Messages:
    """Letters and SMS. `sender` is the address in From; answers by mail go to the university's emergency address."""

    def __init__(self, sender: str, sender_name: str = "Safe Passage", templates: Path = TEMPLATES) -> None:
        """Raises PermanentError, naming the template, when one does not compile or misses a value."""
        self._sender = sender
        self._sender_name = sender_name
        self._folder = templates
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            undefined=StrictUndefined,
            autoescape=False,  # the templates are plain text; markup.py escapes all of it for HTML
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._letters: dict[tuple[Kind, Language, AnyContent], EmailSkeleton] = {}
        self._texts: dict[tuple[Kind, Language, AnyContent, int], SmsSkeleton] = {}
        for kind, form in FORMS.items():
            for language in LANGUAGES:
                self._letter(kind, language, SPECIMENS[kind])
                if form.sms:
                    self._text(kind, language, SPECIMENS[kind], link_length=80)

    def versions(self) -> dict[str, str]:
        """Kind of message to the version of its templates with all they include (SHA-256, first 12 hex)."""
        shared = sorted((self._folder / "parts").glob("*.j2"))
        return {kind: _digest([*sorted(self._folder.glob(f"{kind}.*.j2")), *shared]) for kind in FORMS}

    def email_skeleton(self, kind: Kind, language: Language, facts: AnyContent) -> EmailSkeleton:
        """The mail of this kind, in the person's language first; made once for the same facts."""
        key = (kind, language, facts)
        if key not in self._letters:
            _keep(self._letters, key, self._letter(kind, language, facts))
        return self._letters[key]

    def sms(self, kind: Kind, language: Language, facts: AnyContent, link: str) -> str:
        """The SMS of this kind, in the person's language first. Raises PermanentError for a kind without SMS."""
        return self.sms_skeleton(kind, language, facts, len(link)).render(link)

    def sms_skeleton(self, kind: Kind, language: Language, facts: AnyContent, link_length: int) -> SmsSkeleton:
        """The same without its link, for many recipients."""
        key = (kind, language, facts, link_length)
        if key not in self._texts:
            _keep(self._texts, key, self._text(kind, language, facts, link_length))
        return self._texts[key]

    def preview(self, kind: Kind, language: Language, facts: AnyContent, *, name: str, link: str) -> Preview:
        """How a message will read, without its headers; `sms` is None for a kind that is sent by mail alone."""
        letters = self._written(kind, language, facts)
        text = markup.as_text(letters).replace(NAME, name).replace(LINK, link)
        sms = self.sms(kind, language, facts, link) if FORMS[kind].sms else None
        subject = " / ".join(letter.subject for letter in letters)
        return Preview(subject, text, sms, segments(sms) if sms is not None else 0)

    def _written(self, kind: Kind, language: Language, facts: AnyContent) -> list[markup.Written]:
        return [
            markup.written(each, self._render(f"{kind}.{each}.txt.j2", kind, each, facts))
            for each in (language, other(language))
        ]

    def _letter(self, kind: Kind, language: Language, facts: AnyContent) -> EmailSkeleton:
        letters = self._written(kind, language, facts)
        headers = Headers(
            sender=self._sender,
            sender_name=self._sender_name,
            reply_to=facts.emergency_email,
            subject=" / ".join(letter.subject for letter in letters),
            languages=tuple(letter.language for letter in letters),
            important=FORMS[kind].important,
        )
        return build_email_skeleton(headers, markup.as_text(letters), markup.as_html(letters))

    def _text(self, kind: Kind, language: Language, facts: AnyContent, link_length: int) -> SmsSkeleton:
        if not FORMS[kind].sms:
            raise PermanentError(f"{kind} is not sent by SMS")

        def render(place_limit: int) -> str:
            # The link stands once, in the person's own language.
            first = self._render(f"{kind}.{language}.sms.j2", kind, language, facts, place_limit, is_first=True)
            second_language = other(language)
            second = self._render(f"{kind}.{second_language}.sms.j2", kind, second_language, facts, place_limit)
            return f"{first} *** {second}"

        return build_sms_skeleton(render, link_length)

    def _render(
        self,
        template: str,
        kind: Kind,
        language: Language,
        facts: AnyContent,
        place_limit: int = 300,
        is_first: bool = False,
    ) -> str:
        if not isinstance(facts, FORMS[kind].facts):
            raise PermanentError(f"{kind} needs {FORMS[kind].facts.__name__}")
        values = {**context(facts, language, place_limit), "name": NAME, "answer_link": LINK, "is_first": is_first}
        try:
            return self._environment.get_template(template).render(values)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise PermanentError(f"{template}{f':{line}' if line else ''}: {error.message}") from None


def _finalize(value: Any) -> str:
    """What a template puts out: one line, no marks of ours in foreign text, and never `None`."""
    if value in (NAME, LINK):
        return str(value)
    if not isinstance(value, str | int):
        raise TemplateError(f"a value of type {type(value).__name__} where text is needed")
    return one_line(str(value)).replace("](", "] (")


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    while len(kept) >= SKELETONS_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _digest(files: list[Path]) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.name}\0".encode() + file.read_bytes())
    return content.hexdigest()[:12]
