"""Problems in the reader's language: `Accept-Language` chooses Dutch or English.

Code writes a problem in one language; the phrases say it in the other. A service adds its own (`service(phrases=…)`).
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import Depends, Header

Language = Literal["nl", "en"]
#: (Dutch, English)
Phrase = tuple[str, str]

_MAX_HEADER_CHARS = 500


def preferred_language(accept_language: str | None) -> Language | None:
    """Dutch or English, whichever the header prefers; None without a header, or when it names neither. RFC 9110."""
    best: tuple[float, Language | None] = (0.0, None)
    for part in (accept_language or "")[:_MAX_HEADER_CHARS].split(","):
        name, _, weight = part.strip().partition(";")
        primary = name.strip().lower().partition("-")[0]
        quality = _quality(weight)
        if primary in ("nl", "en") and quality > best[0]:
            best = (quality, "nl" if primary == "nl" else "en")
    return best[1]


def _quality(weight: str) -> float:
    name, _, number = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(number) if name.strip().lower() == "q" and 0 <= float(number) <= 1 else 0.0
    except ValueError:
        return 0.0


async def reading_language(
    accept_language: Annotated[str | None, Header(alias="Accept-Language", max_length=_MAX_HEADER_CHARS)] = None,
) -> Language | None:
    """The reader's language, as a FastAPI dependency; None: none that we write."""
    return preferred_language(accept_language)


ReadingLanguage = Annotated[Language | None, Depends(reading_language)]


class Phrases:
    """Finds a text in the other language. A text without a counterpart stays as it is."""

    def __init__(self, phrases: Iterable[Phrase] = ()) -> None:
        pairs = [*SHARED, *phrases]
        self._by_text = {text: pair for pair in pairs for text in pair}

    def in_language(self, text: str, language: Language) -> str:
        """The text in this language."""
        pair = self._by_text.get(text)
        return text if pair is None else pair[0 if language == "nl" else 1]


#: What every service says.
SHARED: tuple[Phrase, ...] = (
    ("Het verzoek klopt niet.", "The request is not valid."),
    ("Het verzoek is geweigerd.", "The request was refused."),
    ("Dit bestaat niet, of je hebt er geen toegang toe.", "It does not exist, or you have no access to it."),
    ("Dit pad kent deze methode niet: zie Allow.", "This path does not support this method: see Allow."),
    ("Dit pad neemt dit mediatype niet aan.", "This path does not accept this media type."),
    (
        "Een deel van de dienst is nu niet bereikbaar: probeer het opnieuw.",
        "A part of the service is unavailable now: try again.",
    ),
    (
        "Te veel van zulke verzoeken tegelijk: probeer het opnieuw.",
        "Too many requests of this kind at once: try again.",
    ),
    (
        "De sleutels van de login kunnen nu niet worden gelezen: probeer het opnieuw.",
        "The login's keys cannot be read now: try again.",
    ),
    (
        "Het is sindsdien gewijzigd. Lees de huidige versie en stuur de wijziging opnieuw.",
        "It was changed since. Read the current version, then send the change again.",
    ),
    (
        "Stuur If-Match mee met de ETag van de versie die je hebt gezien.",
        "Send If-Match with the ETag of the version that you have seen.",
    ),
    (
        "Hetzelfde verzoek loopt nog. Stuur het over een seconde opnieuw.",
        "The same request is still running. Send it again in a second.",
    ),
    (
        "Deze Idempotency-Key is al voor een ander verzoek gebruikt. Stuur een nieuwe.",
        "This Idempotency-Key was used for another request. Send a new key.",
    ),
    ("Antwoorden zijn application/json: neem dat op in Accept.", "Answers are application/json: include it in Accept."),
    (
        "De gegevens van deze persoon zijn gewist: er kan niets meer bij.",
        "This person's data were erased: nothing can be added.",
    ),
    ("Content-Length is geen aantal bytes.", "Content-Length is not a number of bytes."),
    (
        "Een onverwachte fout; die staat in het logboek onder de X-Request-Id van dit verzoek.",
        "An unexpected error; it was logged under this request's X-Request-Id.",
    ),
    ("Te veel verbindingen: probeer het opnieuw.", "Too many connections: try again."),
    ("Dit is geen geldig HTTP-verzoek.", "This is no valid HTTP request."),
    # The shape of a body
    ("is geen object", "is not an object"),
    ("is geen tekst", "is not text"),
    ("is geen lijst", "is not a list"),
    ("is niet waar of onwaar", "is not true or false"),
    ("is geen geheel getal", "is not a whole number"),
    ("is te klein", "is too small"),
    ("is te groot", "is too large"),
    ("ontbreekt", "is required"),
    ("is geen geldige JSON", "is not valid JSON"),
    ("is geen bekend veld", "is not a known field"),
    ("heeft niet de juiste vorm", "does not have the right form"),
    ("is te lang", "is too long"),
    ("is te kort", "is too short"),
    ("is geen van de bekende waarden", "is not one of the known values"),
    ("is geen datum (JJJJ-MM-DD)", "is not a date (YYYY-MM-DD)"),
    ("is geen tijdstip met tijdzone (RFC 3339)", "is not an instant with its offset (RFC 3339)"),
    ("ligt meer dan tien jaar van vandaag", "lies more than ten years from today"),
    ("ligt in de toekomst, of voor 2000", "lies in the future, or before 2000"),
    ("ligt buiten de jaren 2000 tot en met 2199", "lies outside the years 2000 to 2199"),
    ("heeft te veel waarden", "has too many entries"),
    ("heeft te weinig waarden", "has too few entries"),
    ("is leeg", "is empty"),
    ("is geen land (ISO 3166-1 alpha-2)", "is not a country (ISO 3166-1 alpha-2)"),
    ("bevat stuurtekens of tekens die de leesrichting veranderen", "holds control or directional characters"),
    ("is geen e-mailadres", "is not an email address"),
    ("is geen e-mailadres waar mail aankomt", "is not an email address that mail can reach"),
    ("heeft geen letter", "has no letter"),
    ("is een web- of mailadres, geen naam", "is a web or mail address, not a name"),
    (
        "is een nummer van een betaalde dienst: geef dat van een persoon",
        "is a number of a paid service: give that of a person",
    ),
    (
        "is een satelliet- of dienstnummer, dat onze berichten misschien niet bereiken: geef een mobiel nummer",
        "is a satellite or service number, which our messages may not reach: give a mobile number",
    ),
    (
        "is geen telefoonnummer in internationale vorm (+31...)",
        "is not a phone number in international form (+31...)",
    ),
    ("begint met een landnummer dat niet bestaat", "begins with a country code that does not exist"),
    ("heeft te weinig cijfers voor zijn land", "has too few digits for its country"),
    ("heeft te veel cijfers voor zijn land", "has too many digits for its country"),
    (
        "is geen nummer dat in zijn land bestaat: controleer elk cijfer",
        "is not a number that exists in its country: check every digit",
    ),
    ("bevat letters: schrijf het nummer in cijfers", "holds letters: write the number in digits"),
    (
        "is een vast nummer, dat geen sms krijgt: geef een mobiel nummer",
        "is a landline, which gets no SMS: give a mobile number",
    ),
    (
        "is een soort nummer dat geen sms krijgt: geef een mobiel nummer",
        "is a number of a kind that gets no SMS: give a mobile number",
    ),
    (
        "heeft een doorkiesnummer, dat geen sms bereikt: geef alleen het nummer van een mobiele telefoon",
        "has an extension, which no SMS reaches: give the number of a mobile phone alone",
    ),
    ("bevat een spatie of een onzichtbaar teken", "has a blank or an invisible sign in it"),
    (
        "is langer dan e-mail toelaat: 64 bytes voor het @-teken, 254 in totaal",
        "is longer than mail allows: 64 octets before the @, 254 in all",
    ),
    (
        "heeft voor het @-teken letters die onze mailserver niet aankan (alleen a-z, 0-9): geef een ander adres",
        "has letters before the @ that our mail server does not carry (only a-z, 0-9): give another address",
    ),
    ("staat niet in de catalogus", "is not in the catalogue"),
)
