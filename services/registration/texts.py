"""What a reason says to a person, in Dutch and English. Every reason of every rule has both; a test holds that."""

from typing import Literal

Language = Literal["nl", "en"]

#: reason code -> (Dutch, English)
REASONS: dict[str, tuple[str, str]] = {
    # R1, R11
    "credits_earned": ("Je krijgt er studiepunten voor.", "You earn credits for it."),
    "university_funding": ("De universiteit betaalt eraan mee.", "The university contributes to its costs."),
    "transcript_entry": ("Het komt op je cijferlijst.", "It will be on your transcript."),
    "voluntary": (
        "Het hoort niet bij je studie: je registratie is vrijwillig. Je wordt net zo gewaarschuwd als ieder ander.",
        "It is not part of your studies: your registration is voluntary. You are alerted like everybody else.",
    ),
    # R2
    "approval_not_needed": ("Je hebt geen goedkeuring nodig.", "You need no approval."),
    "approval_granted": ("Je opleiding heeft het goedgekeurd.", "Your programme has approved it."),
    "approval_missing": (
        "Je registratie wacht op de goedkeuring van je opleiding. Vraag die aan, en noem haar in je registratie.",
        "Your registration waits for your programme's approval. Ask for it, and name it in your registration.",
    ),
    "approval_pending": (
        "Je opleiding heeft nog niet over je aanvraag beslist.",
        "Your programme has not decided on your request yet.",
    ),
    "approval_of_another_person": (
        "De goedkeuring die je noemt, is niet van jou.",
        "The approval that you named is not yours.",
    ),
    "approval_refused": ("Je opleiding heeft het niet goedgekeurd.", "Your programme has refused it."),
    "approval_withdrawn": (
        "De goedkeuring die je noemt, is ingetrokken.",
        "The approval that you named has been withdrawn.",
    ),
    "approval_for_another_activity": (
        "De goedkeuring is voor een andere activiteit of opleiding. Je coördinator kijkt ernaar.",
        "The approval is for another activity or programme. Your coordinator will look at it.",
    ),
    "approval_for_another_country": (
        "De goedkeuring is voor een ander land. Je coördinator kijkt ernaar.",
        "The approval is for another country. Your coordinator will look at it.",
    ),
    "approval_for_other_dates": (
        "De goedkeuring is voor andere dagen. Je coördinator kijkt ernaar.",
        "The approval is for other days. Your coordinator will look at it.",
    ),
    # R6, R7, R8
    "at_least_two_weeks": (
        "Je registreert je minstens veertien dagen voor vertrek.",
        "You register at least fourteen days before departure.",
    ),
    "within_two_weeks": (
        "Je vertrekt binnen veertien dagen. Neem contact op met de contactpersoon van je faculteit.",
        "You leave within fourteen days. Get in touch with your faculty's contact person.",
    ),
    "already_departed": (
        "Je bent al vertrokken. Neem contact op met de contactpersoon van je faculteit.",
        "You have already left. Get in touch with your faculty's contact person.",
    ),
    # R12-R16
    "advice_safe": ("Het reisadvies is groen of geel.", "The travel advice is green or yellow."),
    "advice_negative": (
        "Het reisadvies is oranje of rood: je mag niet vertrekken.",
        "The travel advice is orange or red: you may not depart.",
    ),
    "advice_unknown": (
        "Er is geen reisadvies bekend. Een veiligheidsfunctionaris kijkt ernaar.",
        "No travel advice is known. A safety officer will look at it.",
    ),
    "advice_stale": (
        "Het reisadvies kon te lang niet worden gelezen. Een veiligheidsfunctionaris kijkt ernaar.",
        "The travel advice could not be read for too long. A safety officer will look at it.",
    ),
    "advice_being_updated": (
        "Het reisadvies wordt op dit moment bijgewerkt.",
        "The travel advice is being updated at this moment.",
    ),
    "place_unresolved": (
        "Een deel van het land heeft een ander reisadvies, en het is niet zeker of jij daar bent. Noem de regio; "
        "een veiligheidsfunctionaris kijkt ernaar.",
        "A part of the country has a different travel advice, and it is not certain whether you will be there. "
        "Name the region; a safety officer will look at it.",
    ),
    # R10, R21
    "approved_and_safe": ("Je mag vertrekken.", "You may depart."),
    "voluntary_and_safe": ("Je mag vertrekken.", "You may depart."),
    "suspended_before": (
        "Je toestemming is eerder opgeschort. Je coördinator beslist of je alsnog mag vertrekken.",
        "Your clearance was suspended before. Your coordinator decides whether you may depart after all.",
    ),
    "undecided": (
        "Je registratie is opgeslagen en wordt beoordeeld.",
        "Your registration is stored and is being assessed.",
    ),
    "cancelled": ("Je hebt je registratie geannuleerd.", "You have cancelled your registration."),
    # What an itinerary lacks
    "ends_before_it_starts": ("eindigt voordat het begint", "ends before it starts"),
    "starts_before_the_former_leg": ("begint voor het vorige deel", "starts before the former leg"),
    "overlaps_the_former_leg": ("overlapt met het vorige deel", "overlaps the former leg"),
    "leaves_a_gap_to_the_former_leg": (
        "laat dagen open na het vorige deel; noem ook waar je dan bent",
        "leaves days open after the former leg; name where you are then",
    ),
    "travelled_through_for_more_than_three_days": (
        "doorreizen duurt ten hoogste drie dagen; dit is een verblijf",
        "travelling through takes three days at most; this is a stay",
    ),
    "no_leg_is_a_stay": ("nergens wordt verbleven", "no leg is a stay"),
    "longer_than_five_years": ("duurt langer dan vijf jaar", "takes longer than five years"),
    "more_than_five_years_ahead": ("ligt meer dan vijf jaar vooruit", "is more than five years ahead"),
    "already_over": ("is al voorbij", "is already over"),
}


def reason_text(reason: str, language: Language) -> str:
    """What a reason code says; a code without a text (of a later version) is shown as it is."""
    dutch, english = REASONS.get(reason, (reason, reason))
    return dutch if language == "nl" else english
