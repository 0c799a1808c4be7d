"""Every kind of message: its templates, and how its content becomes a skeleton in both languages.

At startup all templates are compiled and rendered with specimen content, so a broken template stops the start and not
a message.
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
    HelpReplyContent,
    IncidentContent,
    Kind,
    ManualContent,
    RegistrationContent,
    ReminderContent,
    SlotContent,
)
from services.notify.messages.context import context
from services.notify.messages.gsm import segments
from services.notify.messages.plain import LINK, NAME, PLACEHOLDERS, STUDENT, one_line
from services.notify.messages.service_content import (
    OfficeCasesContent,
    OfficeDigestContent,
    OutcomeContent,
    RequestContent,
)
from services.notify.messages.skeleton import EmailSkeleton, Headers, build_email_skeleton
from services.notify.messages.sms import SmsSkeleton, build_sms_skeleton
from services.notify.messages.specimens import SPECIMENS, VARIANTS
from services.notify.messages.wording import LANGUAGES, Language, other
from shared.catalogue import Contact
from shared.errors import PermanentError

TEMPLATES = Path(__file__).parent.parent / "templates"
CACHED_SKELETONS = 512


@dataclass(frozen=True, slots=True)
class MessageForm:
    """One kind of message: its content, whether it has an SMS, and whether the email is marked as important.

    `names_student`: it goes to an office of the university and names the student whom it is about.
    """

    content: type[AnyContent]
    sms: bool
    important: bool
    names_student: bool = False


#: Every kind of message. A test compares it with the folder of templates.
FORMS: Mapping[Kind, MessageForm] = {
    "alert_country": MessageForm(AlertContent, sms=True, important=True),
    "alert_region": MessageForm(AlertContent, sms=True, important=True),
    "alert_unresolved": MessageForm(AlertContent, sms=True, important=True),
    "manual": MessageForm(ManualContent, sms=True, important=True),
    "drill": MessageForm(ManualContent, sms=True, important=False),
    "reminder": MessageForm(ReminderContent, sms=True, important=True),
    "clearance_suspended_student": MessageForm(ClearanceContent, sms=False, important=True),
    "clearance_suspended_coordinator": MessageForm(ClearanceContent, sms=False, important=False, names_student=True),
    "clearance_restored": MessageForm(ClearanceContent, sms=False, important=False),
    "advice_improved": MessageForm(AlertContent, sms=False, important=False),
    "answer_received": MessageForm(AnswerContent, sms=False, important=True),
    "incident": MessageForm(IncidentContent, sms=False, important=True),
    "help_reply": MessageForm(HelpReplyContent, sms=False, important=True),
    "check_advice": MessageForm(RegistrationContent, sms=False, important=False),
    "stay_contact": MessageForm(RegistrationContent, sms=False, important=False),
    "still_correct": MessageForm(RegistrationContent, sms=False, important=False),
    "safety_session": MessageForm(RegistrationContent, sms=False, important=False),
    "slot_promoted": MessageForm(SlotContent, sms=False, important=False),
    "approval_question": MessageForm(RequestContent, sms=False, important=False),
    "approval_granted": MessageForm(RequestContent, sms=False, important=False),
    "approval_refused": MessageForm(RequestContent, sms=False, important=False),
    "approval_revoked": MessageForm(RequestContent, sms=False, important=False),
    "not_registered": MessageForm(RequestContent, sms=False, important=False),
    "registration_cleared": MessageForm(OutcomeContent, sms=False, important=False),
    "registration_routed": MessageForm(OutcomeContent, sms=False, important=False),
    "registration_incomplete": MessageForm(OutcomeContent, sms=False, important=False),
    "registration_refused": MessageForm(OutcomeContent, sms=False, important=False),
    "trip_changed": MessageForm(OutcomeContent, sms=False, important=False),
    "stay_over": MessageForm(OutcomeContent, sms=False, important=False),
    "office_cases": MessageForm(OfficeCasesContent, sms=False, important=True),
    "office_digest": MessageForm(OfficeDigestContent, sms=False, important=False),
}


def read_content(kind: str, stored: Mapping[str, Any]) -> AnyContent:
    """The content that is stored with a notice. Raises PermanentError for an unknown kind."""
    forms: Mapping[str, MessageForm] = {str(known): form for known, form in FORMS.items()}
    if kind not in forms:
        raise PermanentError(f"no such kind of message: {kind}")
    return forms[kind].content.model_validate(stored)


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as its reader sees it. `segments`: the parts of the SMS; 0 without an SMS."""

    subject: str
    text: str
    sms: str | None
    segments: int


class Messages:
    """Renders emails and SMS. `sender` is the address in From."""

    def __init__(self, sender: str, sender_name: str = "Safe Passage", templates: Path = TEMPLATES) -> None:
        """Raises PermanentError, naming the template, when one does not compile or lacks a value."""
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
        self._email_skeletons: dict[tuple[Kind, Language, AnyContent], EmailSkeleton] = {}
        self._sms_skeletons: dict[tuple[Kind, Language, AnyContent, int], SmsSkeleton] = {}
        for kind, form in FORMS.items():
            for content in (SPECIMENS[kind], *VARIANTS.get(kind, {}).values()):
                for language in LANGUAGES:
                    self._render_email(kind, language, content)
                    if form.sms:
                        self._render_sms(kind, language, content, link_length=80)

    def versions(self) -> dict[str, str]:
        """Kind of message → version of its templates and all that they include (first 12 hex digits of SHA-256)."""
        shared = sorted((self._folder / "parts").glob("*.j2"))
        return {kind: _digest([*sorted(self._folder.glob(f"{kind}.*.j2")), *shared]) for kind in FORMS}

    def email_skeleton(self, kind: Kind, language: Language, content: AnyContent) -> EmailSkeleton:
        """The email of this kind, the person's language first; rendered once for the same content."""
        key = (kind, language, content)
        if key not in self._email_skeletons:
            _cache(self._email_skeletons, key, self._render_email(kind, language, content))
        return self._email_skeletons[key]

    def sms(self, kind: Kind, language: Language, content: AnyContent, link: str) -> str:
        """The SMS of this kind, the person's language first. Raises PermanentError for a kind without SMS."""
        return self.sms_skeleton(kind, language, content, len(link)).render(link)

    def sms_skeleton(self, kind: Kind, language: Language, content: AnyContent, link_length: int) -> SmsSkeleton:
        """The SMS of this kind without its link, for many recipients; rendered once for the same content."""
        key = (kind, language, content, link_length)
        if key not in self._sms_skeletons:
            _cache(self._sms_skeletons, key, self._render_sms(kind, language, content, link_length))
        return self._sms_skeletons[key]

    def preview(
        self, kind: Kind, language: Language, content: AnyContent, *, name: str, link: str, student: str = ""
    ) -> Preview:
        """How a message will read, without headers; `sms` is None for a kind that is sent by email alone."""
        texts = self._email_texts(kind, language, content)
        text = markup.as_text(texts).replace(NAME, name).replace(LINK, link).replace(STUDENT, student)
        sms = self.sms(kind, language, content, link) if FORMS[kind].sms else None
        subject = " / ".join(text.subject for text in texts)
        return Preview(subject, text, sms, segments(sms) if sms is not None else 0)

    def _email_texts(self, kind: Kind, language: Language, content: AnyContent) -> list[markup.EmailText]:
        return [
            markup.parse_email(shown, self._render(f"{kind}.{shown}.txt.j2", kind, shown, content))
            for shown in (language, other(language))
        ]

    def _render_email(self, kind: Kind, language: Language, content: AnyContent) -> EmailSkeleton:
        texts = self._email_texts(kind, language, content)
        headers = Headers(
            sender=self._sender,
            sender_name=self._sender_name,
            reply_to=_reply_to(content),
            subject=" / ".join(text.subject for text in texts),
            languages=tuple(text.language for text in texts),
            important=FORMS[kind].important,
            kind=kind,
        )
        return build_email_skeleton(headers, markup.as_text(texts), markup.as_html(texts))

    def _render_sms(self, kind: Kind, language: Language, content: AnyContent, link_length: int) -> SmsSkeleton:
        if not FORMS[kind].sms:
            raise PermanentError(f"{kind} is not sent by SMS")

        def render(place_limit: int) -> str:
            # The SMS holds the link once, in the person's own language.
            first = self._render(f"{kind}.{language}.sms.j2", kind, language, content, place_limit, is_first=True)
            second_language = other(language)
            second = self._render(f"{kind}.{second_language}.sms.j2", kind, second_language, content, place_limit)
            return f"{first} *** {second}"

        return build_sms_skeleton(render, link_length)

    def _render(
        self,
        template: str,
        kind: Kind,
        language: Language,
        content: AnyContent,
        place_limit: int = 300,
        is_first: bool = False,
    ) -> str:
        if not isinstance(content, FORMS[kind].content):
            raise PermanentError(f"{kind} needs {FORMS[kind].content.__name__}")
        values = {**context(content, language, place_limit), "name": NAME, "answer_link": LINK, "is_first": is_first}
        if FORMS[kind].names_student:
            values["student"] = STUDENT
        try:
            return self._environment.get_template(template).render(values)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise PermanentError(f"{template}{f':{line}' if line else ''}: {error.message}") from None


def _reply_to(content: AnyContent) -> str:
    """Answers go to the office that has the case; those to an alert, to the emergency address."""
    contact = getattr(content, "contact", None)
    return contact.email if isinstance(contact, Contact) else content.emergency_email


def _finalize(value: Any) -> str:
    """Every value that a template prints: one line, without our placeholders in outside text, and never `None`."""
    if value in PLACEHOLDERS:
        return str(value)
    if not isinstance(value, str | int):
        raise TemplateError(f"a value of type {type(value).__name__} where text is needed")
    return one_line(str(value)).replace("](", "] (")


def _cache(cache: dict[Any, Any], key: Any, value: Any) -> None:
    """Add to a cache; the oldest entries make room."""
    while len(cache) >= CACHED_SKELETONS:
        del cache[next(iter(cache))]
    cache[key] = value


def _digest(files: list[Path]) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.name}\0".encode() + file.read_bytes())
    return content.hexdigest()[:12]
