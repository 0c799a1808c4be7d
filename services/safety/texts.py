"""The texts of refusals and of wrong fields, in Dutch and English, as officers read them. A test requires both."""

from services.safety.rules.override import Reason

#: Why an override is refused (R17): reason → (Dutch, English)
OVERRIDE_REFUSALS: dict[Reason, tuple[str, str]] = {
    Reason.RED_IS_NEVER_LOOSENED: (
        "Rood wordt voor studenten nooit versoepeld.",
        "Red is never loosened for students.",
    ),
    Reason.UNKNOWN_IS_NEVER_LOOSENED: (
        "Een onbekend niveau is niet veilig: daar kan alleen oranje of rood worden gezet.",
        "An unknown level is not safe: only orange or red can be set there.",
    ),
    Reason.IS_OVER: ("De laatste dag is voorbij.", "Its last day is over."),
    Reason.ORDER_NEEDS_NEGATIVE_LEVEL: (
        "Alleen een strengere afwijking, naar oranje of rood, kan mensen opdragen te vertrekken.",
        "Only a stricter override, to orange or red, can order people to leave.",
    ),
    Reason.TOO_MANY: (
        "Er zijn te veel afwijkingen voor dit land: beëindig er eerst een paar.",
        "There are too many overrides for this country: end some first.",
    ),
}

#: (Dutch, English): further problems and wrong fields.
PROBLEMS: tuple[tuple[str, str], ...] = (
    *OVERRIDE_REFUSALS.values(),
    ("area is geen gebied van het land (ISO 3166-2)", "area is not one of the country (ISO 3166-2)"),
    ("validUntil ligt voor validFrom", "validUntil lies before validFrom"),
    ("Een tweede persoon moet het ook willen.", "A second person has to want it too."),
    ("De eerste persoon heeft andere landen genoemd.", "The first person named other countries."),
)
