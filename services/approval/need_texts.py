"""The words about what an activity needs: the label of each field, when it is needed, and its fixed values."""

from services.approval.rules.needs import When

#: Field of the request → (Dutch, English).
FIELD_LABELS: dict[str, tuple[str, str]] = {
    "details.theme": ("Thema van het project", "Theme of the project"),
    "details.institute": ("Keuze van het instituut", "Choice of the institute"),
    "details.partnerNetwork": ("Netwerk van het partnerinstituut", "Network of the partner institute"),
    "details.partnerInstitute": ("Partnerinstituut", "Partner institute"),
    "instituteReason": ("Waarom je dit instituut kiest", "Why you choose this institute"),
    "details.studyLevel": ("Bachelor of master", "Bachelor or master"),
    "details.yearOfStudy": ("Studiejaar", "Year of study"),
    "details.rotation": ("Soort coschap", "Kind of rotation"),
    "details.cluster": ("Cluster", "Cluster"),
    "details.hospital": ("Ziekenhuis van je voorkeur", "Hospital that you prefer"),
    "contact": ("Je contactgegevens", "Your contact details"),
    "details.school": ("Zomer- of winterschool", "Summer or winter school"),
    "details.credits": ("Wil je er studiepunten voor?", "Do you want credits for it?"),
}

#: When a field is needed → (Dutch, English).
WHEN_TEXTS: dict[When, tuple[str, str]] = {
    When.ALWAYS: ("Altijd nodig.", "Always needed."),
    When.IF_YOU_LIKE: ("Niet verplicht.", "Not required."),
    When.WITHOUT_IT_THE_THEME_IS_APPROVED_FIRST: (
        "Zonder thema van de lijst is eerst goedkeuring van het thema nodig.",
        "Without a theme of the list, the theme needs an approval first.",
    ),
    When.PARTNER_INSTITUTE: ("Bij een partnerinstituut.", "For a partner institute."),
    When.PARTNER_INSTITUTE_LISTED: (
        "Bij een partnerinstituut, als het netwerk een lijst van instituten heeft.",
        "For a partner institute, if the network has a list of institutes.",
    ),
    When.OWN_CHOICE: ("Bij een instituut van je eigen keuze.", "For an institute of your own choice."),
    When.REGULAR_ROTATION: ("Bij een regulier coschap.", "For a regular rotation."),
    When.UNLESS_DESCRIBED: (
        "Nodig, tenzij je een school beschrijft die niet op de lijst staat.",
        "Needed, unless you describe a school that is not on the list.",
    ),
}

#: Field → its fixed values, each in (Dutch, English).
VALUE_NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "details.institute": {
        "listed": ("Van de lijst", "From the list"),
        "partner": ("Een partner", "A partner"),
        "own_choice": ("Mijn eigen keuze", "My own choice"),
    },
    "details.studyLevel": {"bachelor": ("Bachelor", "Bachelor"), "master": ("Master", "Master")},
    "details.rotation": {
        "regular": ("Regulier coschap", "Regular rotation"),
        "elective": ("Keuzecoschap", "Elective"),
    },
    "details.credits": {"true": ("Ja", "Yes"), "false": ("Nee", "No")},
}
