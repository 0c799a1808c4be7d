"""The texts of refusals and of wrong fields, in Dutch and English, as officers read them. A test requires both."""

from collections.abc import Mapping

from services.notify.rules.escalation import RollCallStatus
from services.notify.rules.raised_twice import Reason

#: Status of recipients who are not accounted for → (Dutch, English), after their number.
OPEN_AS: Mapping[RollCallStatus, tuple[str, str]] = {
    RollCallStatus.UNVERIFIED: (
        "veilig volgens een link die een machine kan hebben gevolgd",
        "safe by a link that a machine may have followed",
    ),
    RollCallStatus.HELP: ("om hulp gevraagd", "asking for help"),
    RollCallStatus.WRONG_PERSON: ("met een nummer van iemand anders", "with a number of somebody else"),
    RollCallStatus.UNCLEAR: ("met een antwoord dat niemand heeft gelezen", "with a reply that nobody has read"),
    RollCallStatus.UNREACHABLE: ("onbereikbaar", "unreachable"),
    RollCallStatus.NO_ANSWER: ("zonder antwoord", "without an answer"),
}

#: R27: why an officer is asked before an alert is raised → (Dutch, English). Both say how to go on.
RAISED_ALREADY: Mapping[Reason, tuple[str, str]] = {
    Reason.IDENTICAL: (
        "Deze waarschuwing staat al open: iedereen daar krijgt dezelfde tekst nog een keer. Bekijk die waarschuwing, "
        "of bevestig dat je het nogmaals bedoelt (`alertsKnown`).",
        "This alert is open already: everybody there would get the same text again. Look at that alert, or confirm "
        "that you mean it again (`alertsKnown`).",
    ),
    Reason.SAME_PLACE: (
        "Voor deze plaats staat al een waarschuwing open: wie daar is, krijgt er een bericht bij. Bekijk die "
        "waarschuwing, of bevestig dat je nog een bericht bedoelt (`alertsKnown`).",
        "An alert for this place is open already: everybody there would get one more message. Look at that alert, or "
        "confirm that you mean another message (`alertsKnown`).",
    ),
}

#: (Dutch, English)
PROBLEMS: tuple[tuple[str, str], ...] = (
    ("past niet in een sms van drie delen", "is too long for an SMS of three parts"),
    ("noem een status of een persoon, niet allebei", "name a status or a person, not both"),
    ("het gebied ligt niet in het land", "the region is not one of the country"),
    ("is geen gebied van het land", "is not a region of the country"),
    ("wie veilig is, heeft geen verantwoordelijke nodig", "who is safe needs no owner"),
    ("Deze persoon is geen ontvanger van die waarschuwing.", "This person is no recipient of that alert."),
    ("Van wie dit antwoord is, is al bevestigd.", "Who sent this reply is confirmed already."),
    (
        "Deze persoon heeft dit nummer niet en geen dat erop lijkt: leg het antwoord vast als lezing.",
        "This person has neither that number nor one like it: record the answer as a reading instead.",
    ),
    ("is geen ontvanger van de waarschuwing", "is no recipient of the alert"),
    ("een antwoord heeft alertId en personId nodig", "an answer needs alertId and personId"),
    ("Het geheim van de webhook ontbreekt.", "The webhook's secret is needed."),
    ("is alleen voor vandaag bekend", "is known for today only"),
    ("De waarschuwing is open.", "The alert is open."),
    ("De waarschuwing is al gesloten.", "The alert is closed already."),
    (
        "De lijst voor oefeningen (DRILL_ALLOW_LIST) is leeg: een oefening zou niemand bereiken. Zet er adressen, "
        "nummers of @domeinen in.",
        "DRILL_ALLOW_LIST is empty, so a drill would reach nobody. Set it to addresses, numbers or @domains.",
    ),
)


def not_accounted_for(counts: Mapping[RollCallStatus, int]) -> tuple[str, str]:
    """Why an alert cannot be closed yet, in Dutch and English. `counts`: persons without an owner, by status."""
    total = sum(counts.values())
    dutch, english = (
        ", ".join(f"{count} {OPEN_AS[status][position]}" for status, count in counts.items()) for position in (0, 1)
    )
    who, people = ("1 ontvanger is", "1 recipient is") if total == 1 else (
        f"{total} ontvangers zijn", f"{total} recipients are"
    )  # fmt: skip
    return (
        f"{who} niet in beeld: {dutch}. Noem voor ieder een verantwoordelijke in `handOver`, dan kan het dicht.",
        f"{people} not accounted for: {english}. Name an owner for each in `handOver`, then it can be closed.",
    )
