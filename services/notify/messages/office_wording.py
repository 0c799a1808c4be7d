"""Wording of mail to offices in Dutch and English: what waits, one and several. Pure."""

from collections.abc import Mapping

from services.notify.messages.wording import Language

#: Kind of case, or `task` with its rule → one, several.
CASES: Mapping[Language, Mapping[str, tuple[str, str]]] = {
    "nl": {
        "request": ("aanvraag wacht op een besluit", "aanvragen wachten op een besluit"),
        "step": ("aanvraag wacht tot contact is vastgelegd", "aanvragen wachten tot contact is vastgelegd"),
        "overdue": (
            "student heeft na het verblijf niet laten weten terug te zijn",
            "studenten hebben na het verblijf niet laten weten terug te zijn",
        ),
        "hold": (
            "wijziging van het reisadvies wacht op een mens",
            "wijzigingen van het reisadvies wachten op een mens",
        ),
        "source": (
            "bron van het reisadvies kan niet worden gelezen",
            "bronnen van het reisadvies kunnen niet worden gelezen",
        ),
        "reply": (
            "sms-antwoord is onduidelijk en nog niet gelezen",
            "sms-antwoorden zijn onduidelijk en nog niet gelezen",
        ),
        "help": ("student vraagt om hulp", "studenten vragen om hulp"),
        "task": ("taak over een registratie", "taken over registraties"),
        "R2": ("registratie past niet bij de goedkeuring", "registraties passen niet bij de goedkeuring"),
        "R7": ("student vertrekt binnen veertien dagen", "studenten vertrekken binnen veertien dagen"),
        "R8": ("student was bij de registratie al vertrokken", "studenten waren bij de registratie al vertrokken"),
        "R13": (
            "student gaat naar een plaats met negatief advies",
            "studenten gaan naar een plaats met negatief advies",
        ),
        "R14": ("bestemming zonder actueel reisadvies", "bestemmingen zonder actueel reisadvies"),
        "R16": ("plaats kan niet zeker worden gevonden", "plaatsen kunnen niet zeker worden gevonden"),
        "R19": ("toestemming om te vertrekken is opgeschort", "toestemmingen om te vertrekken zijn opgeschort"),
        "R20": ("student is waar het advies negatief is", "studenten zijn waar het advies negatief is"),
        "R21": ("opgeschorte toestemming kan worden hersteld", "opgeschorte toestemmingen kunnen worden hersteld"),
        "R23": (
            "verblijf met negatief advies, voor de examencommissie",
            "verblijven met negatief advies, voor de examencommissie",
        ),
        "R24": ("student zonder contactgegevens ter plaatse", "studenten zonder contactgegevens ter plaatse"),
    },
    "en": {
        "request": ("request waits for a decision", "requests wait for a decision"),
        "step": ("request waits until contact is recorded", "requests wait until contact is recorded"),
        "overdue": (
            "student has not said that they are back after their stay",
            "students have not said that they are back after their stay",
        ),
        "hold": ("change of travel advice waits for a person", "changes of travel advice wait for a person"),
        "source": ("source of travel advice cannot be read", "sources of travel advice cannot be read"),
        "reply": ("reply by SMS is unclear and not read yet", "replies by SMS are unclear and not read yet"),
        "help": ("student asks for help", "students ask for help"),
        "task": ("task about a registration", "tasks about registrations"),
        "R2": ("registration does not fit its approval", "registrations do not fit their approval"),
        "R7": ("student leaves within fourteen days", "students leave within fourteen days"),
        "R8": ("student had left already when registering", "students had left already when registering"),
        "R13": ("student goes to a place with negative advice", "students go to a place with negative advice"),
        "R14": ("destination without current travel advice", "destinations without current travel advice"),
        "R16": ("place cannot be found with certainty", "places cannot be found with certainty"),
        "R19": ("clearance to depart is suspended", "clearances to depart are suspended"),
        "R20": ("student is where the advice is negative", "students are where the advice is negative"),
        "R21": ("suspended clearance can be restored", "suspended clearances can be restored"),
        "R23": (
            "stay with negative advice, for the board of examiners",
            "stays with negative advice, for the board of examiners",
        ),
        "R24": ("student without contact details abroad", "students without contact details abroad"),
    },
}


def case_text(kind: str, rule: str, count: int, language: Language) -> str:
    """`1 request waits for a decision`, `5 requests wait for a decision`."""
    texts = CASES[language]
    one, several = texts.get(rule, texts["task"]) if kind == "task" else texts[kind]
    return f"{count} {one if count == 1 else several}"


def days_from_now(days: int, language: Language) -> str:
    """`in 9 days`, `today`, `3 days ago`."""
    if language == "nl":
        if days == 0:
            return "vandaag"
        unit = "dag" if abs(days) == 1 else "dagen"
        return f"over {days} {unit}" if days > 0 else f"{-days} {unit} geleden"
    if days == 0:
        return "today"
    unit = "day" if abs(days) == 1 else "days"
    return f"in {days} {unit}" if days > 0 else f"{-days} {unit} ago"
