"""What a task asks, in words for the staff who have it: Dutch and English. A test checks that every task has both."""

from dataclasses import dataclass
from datetime import date

from services.registration.texts import Language
from shared.country_names import country_name

_MONTHS = {
    "nl": ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober",
           "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
}  # fmt: skip

#: (rule, reason) -> (Dutch, English). `{leaves}`: when the student leaves, or that they have left.
TASKS: dict[tuple[str, str], tuple[str, str]] = {
    ("R2", "approval_for_another_activity"): (
        "De goedkeuring is voor een andere activiteit of opleiding. Beslis of deze reis eronder valt.",
        "The approval is for another activity or programme. Decide whether it covers this journey.",
    ),
    ("R2", "approval_for_another_country"): (
        "De goedkeuring is voor een ander land. Beslis of deze reis eronder valt.",
        "The approval is for another country. Decide whether it covers this journey.",
    ),
    ("R2", "approval_for_other_dates"): (
        "De goedkeuring is voor andere dagen. Beslis of deze reis eronder valt.",
        "The approval is for other days. Decide whether it covers this journey.",
    ),
    ("R2", "approval_withdrawn"): (
        "De goedkeuring is ingetrokken; de student {leaves}. Spreek de student.",
        "The approval was withdrawn; the student {leaves}. Speak to the student.",
    ),
    ("R2", "approval_refused"): (
        "De goedkeuring is geweigerd; de student {leaves}. Spreek de student.",
        "The approval was refused; the student {leaves}. Speak to the student.",
    ),
    ("R2", "approval_revoked"): (
        "De opleiding heeft de goedkeuring teruggenomen; de student {leaves}. Spreek de student.",
        "The programme has taken its approval back; the student {leaves}. Speak to the student.",
    ),
    ("R7", "within_two_weeks"): (
        "De student {leaves}. Neem contact op en beslis over de registratie.",
        "The student {leaves}. Get in touch and decide about the registration.",
    ),
    ("R8", "already_departed"): (
        "De student {leaves} en registreerde zich daarna pas. Neem contact op en beslis over de registratie.",
        "The student {leaves} and registered only afterwards. Get in touch and decide about the registration.",
    ),
    ("R8", "extended_during_stay"): (
        "De student is onderweg, blijft langer of reist verder. Beslis over wat nieuw is.",
        "The student is under way, and stays longer or moves on. Decide about what is new.",
    ),
    ("R13", "imported_into_negative_advice"): (
        "Overgenomen uit het vorige portaal, naar een gebied met negatief reisadvies. Spreek de student.",
        "Imported from the former portal, to an area with negative travel advice. Speak to the student.",
    ),
    ("R14", "advice_unknown"): (
        "Er is geen reisadvies bekend. Beoordeel of de student kan gaan.",
        "No travel advice is known. Judge whether the student can go.",
    ),
    ("R14", "advice_stale"): (
        "Het reisadvies kon te lang niet worden gelezen. Beoordeel of de student kan gaan.",
        "The travel advice could not be read for too long. Judge whether the student can go.",
    ),
    ("R14", "advice_being_updated"): (
        "Er is nieuwer reisadvies dat nog niet is aangekomen. Beoordeel of de student kan gaan.",
        "Newer travel advice has not arrived yet. Judge whether the student can go.",
    ),
    ("R16", "place_unresolved"): (
        "Een deel van het land heeft een ander reisadvies, en de plaats is niet zeker. Zoek uit waar de student zal "
        "zijn.",
        "A part of the country has a different travel advice, and the place is not certain. Find out where the "
        "student will be.",
    ),
    ("R19", "advice_negative"): (
        "Het reisadvies is oranje of rood geworden; de toestemming is opgeschort. De student {leaves}: zorg dat die "
        "niet gaat.",
        "The travel advice has become orange or red; the clearance is suspended. The student {leaves}: make sure that "
        "they do not go.",
    ),
    ("R19", "override_negative"): (
        "De universiteit verbiedt reizen hierheen; de toestemming is opgeschort. De student {leaves}: zorg dat die "
        "niet gaat.",
        "The university forbids travel to this place; the clearance is suspended. The student {leaves}: make sure "
        "that they do not go.",
    ),
    ("R19", "place_unresolved"): (
        "Een deel van het land werd oranje of rood, en het is niet zeker of de student daar zal zijn; de toestemming "
        "is opgeschort. De student {leaves}.",
        "A part of the country has become orange or red, and it is not certain whether the student will be there; the "
        "clearance is suspended. The student {leaves}.",
    ),
    ("R20", "advice_negative"): (
        "Het reisadvies is oranje of rood waar de student is. Vraag om terug te keren en leg de uitkomst vast.",
        "The travel advice is orange or red where the student is. Ask for the return, and record the outcome.",
    ),
    ("R20", "override_negative"): (
        "De universiteit verbiedt te zijn waar de student is. Vraag om terug te keren en leg de uitkomst vast.",
        "The university forbids the place where the student is. Ask for the return, and record the outcome.",
    ),
    ("R20", "place_unresolved"): (
        "Het reisadvies is in een deel van het land oranje of rood, en het is niet zeker of de student daar is. Vraag "
        "waar de student is en leg de uitkomst vast.",
        "The travel advice is orange or red in a part of the country, and it is not certain whether the student is "
        "there. Ask where the student is, and record the outcome.",
    ),
    ("R20", "left_negative_area"): (
        "De student was in een gebied met negatief reisadvies en is volgens de gewijzigde reis verder getrokken. Ga "
        "na of dat zo is, en leg de uitkomst vast.",
        "The student was in an area with negative travel advice and has moved on, by the changed itinerary. Find out "
        "whether that is so, and record the outcome.",
    ),
    ("R20", "asked_to_cancel"): (
        "De student is in een gebied met negatief reisadvies en wilde de reis annuleren. Vraag waar de student is, en "
        "leg de uitkomst vast.",
        "The student is in an area with negative travel advice and wanted to cancel. Ask where the student is, and "
        "record the outcome.",
    ),
    ("R21", "suspended_before"): (
        "De oorzaak van de opschorting is weg. Beslis of de toestemming weer geldt; de student {leaves}.",
        "The cause of the suspension is gone. Decide whether the clearance holds again; the student {leaves}.",
    ),
    ("R23", "advice_negative"): (
        "De student studeert in een gebied met negatief reisadvies. Beslis of er studiepunten en een beurs voor zijn.",
        "The student studies in an area with negative travel advice. Decide about credits and scholarship.",
    ),
    ("R23", "override_negative"): (
        "De student studeert waar de universiteit het verbiedt. Beslis of er studiepunten en een beurs voor zijn.",
        "The student studies where the university forbids it. Decide about credits and scholarship.",
    ),
    ("R23", "place_unresolved"): (
        "De student studeert misschien in een gebied met negatief reisadvies. Beslis of er studiepunten en een beurs "
        "voor zijn.",
        "The student perhaps studies in an area with negative travel advice. Decide about credits and scholarship.",
    ),
    ("R24", "contact_missing"): (
        "De contactgegevens in het buitenland ontbreken na drie herinneringen. Vraag ze aan de student.",
        "The contact details abroad are missing after three reminders. Ask the student for them.",
    ),
}


@dataclass(frozen=True, slots=True)
class TaskJourney:
    """The journey that a task is about: first and last day, and its countries in order."""

    first_day: date
    last_day: date
    countries: tuple[str, ...]


def task_text(rule: str, reason: str, journey: TaskJourney, today: date, language: Language) -> str:
    """What the task asks, where and when: `… (Spain, 9 December 2026 to 5 January 2027)`.

    A task without a text (of a later version) is shown by its codes.
    """
    index = 0 if language == "nl" else 1
    texts = TASKS.get((rule, reason))
    asked = texts[index] if texts is not None else f"{rule}: {reason}"
    asked = asked.replace("{leaves}", _leaves(journey.first_day, today, language))
    countries = ", ".join(country_name(country, language) for country in journey.countries)
    until = "tot en met" if language == "nl" else "to"
    days = f"{day_text(journey.first_day, language)} {until} {day_text(journey.last_day, language)}"
    return f"{asked} ({countries}, {days})"


def day_text(day: date, language: Language) -> str:
    """`9 december 2026`, `9 December 2026`."""
    return f"{day.day} {_MONTHS[language][day.month - 1]} {day.year}"


def _leaves(first_day: date, today: date, language: Language) -> str:
    days = (first_day - today).days
    dutch, english = {0: ("vertrekt vandaag", "leaves today"), 1: ("vertrekt morgen", "leaves tomorrow")}.get(
        days, (f"vertrekt over {days} dagen", f"leaves in {days} days")
    )
    if days < 0:
        dutch, english = "is al vertrokken", "has already left"
    return dutch if language == "nl" else english
