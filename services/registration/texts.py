"""The texts of reasons and checklist lines, in Dutch and English. A test checks that every reason has both."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from shared.clock import amsterdam_date
from shared.events import LevelBasis, LevelGrounds

Language = Literal["nl", "en"]

#: reason code -> (Dutch, English)
REASONS: dict[str, tuple[str, str]] = {
    # R1, R11
    "credits_earned": ("Je krijgt er studiepunten voor.", "You earn credits for it."),
    "university_funding": ("De universiteit betaalt eraan mee.", "The university contributes to its costs."),
    "transcript_entry": ("Het komt op je cijferlijst.", "It will be on your transcript."),
    "voluntary": (
        "Het hoort niet bij je studie: je registratie is vrijwillig. Je wordt gewaarschuwd als andere studenten.",
        "It is not part of your studies: your registration is voluntary. You are alerted like other students.",
    ),
    # R2
    "approval_not_needed": ("Je hebt geen goedkeuring nodig.", "You need no approval."),
    "approval_granted": ("Je opleiding heeft het goedgekeurd.", "Your programme has approved it."),
    "approval_missing": (
        "Je registratie wacht op de goedkeuring van je opleiding. Vraag die aan en vermeld die in je registratie.",
        "Your registration waits for your programme's approval. Request it and name it in your registration.",
    ),
    "approval_missing_after_start": (
        "Je activiteit is al begonnen zonder goedkeuring van je opleiding. Vraag die alsnog aan en vermeld die in je "
        "registratie: alleen de coördinator van je opleiding kan er nog over beslissen.",
        "Your activity has started already, without your programme's approval. Request it all the same and name it in "
        "your registration: only your programme's coordinator can still decide.",
    ),
    "approval_pending_after_start": (
        "Je aanvraag ligt bij de coördinator van je opleiding: na het begin van de activiteit beslist alleen die nog.",
        "Your programme's coordinator has your request: after the start of the activity only they can decide.",
    ),
    "approval_not_named": (
        "Je hebt goedkeuring aangevraagd, maar je registratie vermeldt die nog niet. Vermeld die in je registratie.",
        "You have requested approval, but your registration does not name it yet. Name it in your registration.",
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
    "approval_revoked": (
        "Je opleiding heeft de goedkeuring teruggenomen.",
        "Your programme has taken its approval back.",
    ),
    "approval_withdrawn": (
        "De goedkeuring die je noemt, is ingetrokken.",
        "The approval that you named has been withdrawn.",
    ),
    "approval_for_another_activity": (
        "De goedkeuring is voor een andere activiteit of opleiding. Je coördinator beslist erover.",
        "The approval is for another activity or programme. Your coordinator will decide about it.",
    ),
    "approval_for_another_country": (
        "De goedkeuring is voor een ander land. Je coördinator beslist erover.",
        "The approval is for another country. Your coordinator will decide about it.",
    ),
    "approval_for_other_dates": (
        "De goedkeuring is voor andere dagen. Je coördinator beslist erover.",
        "The approval is for other days. Your coordinator will decide about it.",
    ),
    # R6, R7, R8
    "at_least_two_weeks": (
        "Je registreert je minstens veertien dagen voor vertrek.",
        "You register at least fourteen days before departure.",
    ),
    "within_two_weeks": (
        "Je vertrekt binnen veertien dagen. Neem contact op met de contactpersoon van je faculteit.",
        "You leave within fourteen days. Contact your faculty's contact person.",
    ),
    "already_departed": (
        "Je bent al vertrokken. Neem contact op met de contactpersoon van je faculteit.",
        "You have already left. Contact your faculty's contact person.",
    ),
    # R12-R16
    "advice_safe": ("Het reisadvies is groen of geel.", "The travel advice is green or yellow."),
    "advice_negative": (
        "Het reisadvies is oranje of rood: je mag niet vertrekken.",
        "The travel advice is orange or red: you may not depart.",
    ),
    # R17
    "override_negative": (
        "De universiteit verbiedt reizen hierheen: je mag niet vertrekken.",
        "The university forbids travel to this place: you may not depart.",
    ),
    "override_safe": (
        "De universiteit staat reizen hierheen toe, met een eigen besluit.",
        "The university permits travel to this place, by a decision of its own.",
    ),
    "advice_unknown": (
        "Er is geen reisadvies bekend. Een veiligheidsfunctionaris beslist erover.",
        "No travel advice is known. A safety officer will decide about it.",
    ),
    "advice_stale": (
        "Het reisadvies kon te lang niet worden gelezen. Een veiligheidsfunctionaris beslist erover.",
        "The travel advice could not be read for too long. A safety officer will decide about it.",
    ),
    "advice_being_updated": (
        "Het reisadvies wordt op dit moment bijgewerkt.",
        "The travel advice is being updated at this moment.",
    ),
    "place_unresolved": (
        "Een deel van het land heeft een ander reisadvies, en het is niet zeker of jij daar bent. Noem de regio; "
        "een veiligheidsfunctionaris beslist erover.",
        "A part of the country has a different travel advice, and it is not certain whether you will be there. "
        "Name the region; a safety officer will decide about it.",
    ),
    # R9
    "no_documents_required": ("Je faculteit vraagt geen documenten.", "Your faculty asks for no documents."),
    "documents_complete": ("Dit document zit bij je registratie.", "This document is attached to your registration."),
    "documents_missing": (
        "Dit document ontbreekt nog. Voeg het toe aan je registratie.",
        "This document is still missing. Attach it to your registration.",
    ),
    "known_document_kind": ("Dit soort document is bekend.", "This kind of document is known."),
    "unknown_document_kind": (
        "Dit soort document is hier niet bekend. Kies er een van de lijst:",
        "This kind of document is not known here. Choose one of the list:",
    ),
    "type_not_allowed": ("is naar zijn inhoud geen PDF, JPEG of PNG", "is not a PDF, JPEG or PNG file by its content"),
    "holds_something_else": (
        "bevat naast het document nog iets anders; sla het opnieuw op als PDF, JPEG of PNG",
        "contains something else beside the document; save it again as PDF, JPEG or PNG",
    ),
    "empty": ("is leeg", "is empty"),
    "malware_found": ("bevat volgens de virusscanner malware", "contains malware, according to the virus scanner"),
    # R18
    "exception_at_orange": (
        "Er is een uitzondering gemaakt bij oranje advies, met toestemming van examencommissie en gastinstelling.",
        "An exception was made at orange, with the permission of the board of examiners and of the host.",
    ),
    "exceptions_are_off": (
        "De universiteit maakt geen uitzonderingen bij oranje advies.",
        "The university makes no exceptions at orange.",
    ),
    "never_at_red": ("Bij rood advies is geen uitzondering mogelijk.", "At red no exception is possible."),
    "permission_missing": (
        "De schriftelijke toestemming van examencommissie en gastinstelling zit niet allebei bij de registratie.",
        "The written permissions of the board of examiners and of the host are not both attached.",
    ),
    # Decisions by persons
    "approved_by_person": ("Je mag vertrekken.", "You may depart."),
    "restored_by_person": (
        "Je toestemming is hersteld: je mag vertrekken.",
        "Your clearance was restored: you may depart.",
    ),
    "refused_by_person": (
        "Een medewerker heeft je registratie afgewezen. Neem contact op.",
        "A member of staff has refused your registration. Contact them.",
    ),
    "others_still_decide": (
        "Een andere medewerker moet ook nog beslissen.",
        "Another member of staff still has to decide.",
    ),
    "nothing_to_decide": ("Er valt nu niets te beslissen.", "There is nothing to decide now."),
    "not_yours_to_decide": ("Hierover beslist een andere medewerker.", "Another member of staff decides about this."),
    # R15
    "trip_changed": (
        "De leider heeft de groepsreis gewijzigd, en jouw registratie is nog de oude. Neem de wijziging over, of laat "
        "je registratie zoals die is als jij anders reist.",
        "The leader has changed the group trip, and your registration is still the former one. Take the change over, "
        "or leave your registration as it is if you travel otherwise.",
    ),
    # R20, R24
    "overdue": (
        "Je verblijf is voorbij, maar je terugkeer is nog niet vastgelegd.",
        "Your stay is over, but your return is not recorded yet.",
    ),
    "not_abroad": ("Je bent niet in het buitenland.", "You are not abroad."),
    "stay_contact_missing": (
        "Geef zo snel mogelijk door hoe je daar te bereiken bent.",
        "Enter how you can be reached there, as soon as possible.",
    ),
    "stay_contact_known": ("We weten hoe je daar te bereiken bent.", "We know how you can be reached there."),
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
    # R22, R24, R25, R39: why a student is reminded, and why a reminder was not sent
    "check_advice": ("Bekijk het reisadvies nog eens.", "Look at the travel advice once more."),
    "contact_missing": (
        "Je contactgegevens in het buitenland ontbreken nog.",
        "Your contact details abroad are still missing.",
    ),
    "still_correct": ("Kloppen je gegevens nog?", "Are your details still correct?"),
    "session_missing": (
        "Je hebt de bijeenkomst over gezondheid en veiligheid nog niet bijgewoond.",
        "You have not attended the health and safety session yet.",
    ),
    "page_acknowledged": ("Je hebt deze pagina gelezen.", "You have read this page."),
    "page_not_acknowledged": (
        "Lees deze pagina en bevestig dat in je registratie.",
        "Read this page, and confirm that in your registration.",
    ),
    "superseded": ("Een latere herinnering kwam ervoor in de plaats.", "A later reminder replaced it."),
    "refused": ("Je registratie was afgewezen.", "Your registration was refused."),
    "departed": ("Je was al vertrokken.", "You had already left."),
    "over": ("Je verblijf was voorbij.", "Your stay was over."),
    "contact_known": ("Je gegevens waren er al.", "Your details were there already."),
    "confirmed_lately": ("Je had je gegevens pas nog bevestigd.", "You had confirmed your details recently."),
    "changed_since": ("Je had je gegevens sindsdien gewijzigd.", "You had changed your details since."),
    "asked_lately": ("Het was je pas nog gevraagd.", "You had been asked recently."),
    "attended": ("Je was bij de bijeenkomst.", "You were at the session."),
    "imported_into_negative_advice": (
        "Overgenomen uit het vorige portaal, voor een gebied met negatief reisadvies: spreek de student.",
        "Imported from the former portal, for an area with negative travel advice: speak to the student.",
    ),
    # Mistakes in an itinerary
    "ends_before_it_starts": ("eindigt voordat het begint", "ends before it starts"),
    "starts_before_the_former_leg": ("begint voor het vorige deel", "starts before the previous leg"),
    "overlaps_the_former_leg": ("overlapt met het vorige deel", "overlaps the previous leg"),
    "leaves_a_gap_to_the_former_leg": (
        "laat dagen open na het vorige deel; noem ook waar je dan bent",
        "leaves days open after the previous leg; add where you are on those days",
    ),
    "travelled_through_for_more_than_three_days": (
        "doorreizen duurt ten hoogste drie dagen; dit is een verblijf",
        "travelling through lasts three days at most; this is a stay",
    ),
    "no_leg_is_a_stay": ("nergens wordt verbleven", "no leg is a stay"),
    "longer_than_five_years": ("duurt langer dan vijf jaar", "lasts longer than five years"),
    "more_than_five_years_ahead": ("ligt meer dan vijf jaar vooruit", "is more than five years ahead"),
    "already_over": ("is al voorbij", "is already over"),
}


#: What staff read who try to decide before the programme has: reason code -> English
_STAFF_REASONS = {
    "approval_missing": "The registration names no approval of the student's programme yet. The student must request "
    "it, also after the start of the activity, and name it. You can decide once the programme has granted it.",
    "approval_pending": "The student has requested the programme's approval, and its coordinator has not decided yet. "
    "You can decide once it is granted.",
    "approval_of_another_person": "The approval that the registration names is not this student's.",
    "approval_refused": "The programme has refused to approve this activity.",
    "approval_withdrawn": "The student has withdrawn the approval that the registration names.",
    "approval_revoked": "The programme has taken its approval back.",
}


def staff_reason_text(reason: str, grounds: LevelGrounds | None = None) -> str:
    """The text of a reason for staff, in English; where the student's text speaks to both, that one."""
    return _STAFF_REASONS.get(reason) or reason_text(reason, "en", grounds)


#: Why a level counts that the ministry does not give (any more): (Dutch, English)
BASES: Mapping[LevelBasis, tuple[str, str]] = {
    LevelBasis.UNREAD: (
        "Een zin in het reisadvies kon niet worden gelezen; voor de zekerheid telt de strengste kleur daarin.",
        "A sentence of the travel advice could not be read; to be sure, the strictest colour in it counts.",
    ),
    LevelBasis.LAST_KNOWN: (
        "Het reisadvies van nu kon niet worden gelezen; het laatste dat bekend is, telt.",
        "The present travel advice could not be read; the last one that is known counts.",
    ),
    LevelBasis.UNCONFIRMED: (
        "Een verbetering van het reisadvies telt pas als die is bevestigd.",
        "An improvement of the travel advice counts only when it has been confirmed.",
    ),
    LevelBasis.NOT_ADOPTED: (
        "De universiteit heeft een strenger reisadvies bekeken en niet overgenomen.",
        "The university has looked at a stricter travel advice and has not adopted it.",
    ),
}


def reason_text(reason: str, language: Language, grounds: LevelGrounds | None = None) -> str:
    """The text of a reason code. A code without a text (from a later version) is shown unchanged.

    `grounds`: who decided the level of the advice; the text then says so where it is not the ministry (R17).
    """
    dutch, english = REASONS.get(reason, (reason, reason))
    text = dutch if language == "nl" else english
    return f"{text} {_grounds_text(grounds, language)}".rstrip() if grounds is not None else text


def _grounds_text(grounds: LevelGrounds, language: Language) -> str:
    in_dutch = language == "nl"
    if grounds.basis in BASES:
        return BASES[grounds.basis][0 if in_dutch else 1]
    if grounds.override is None:
        return ""
    override = grounds.override
    since = _day(override.since, language)
    if in_dutch:
        order = " Wie daar is, moet vertrekken." if override.order_to_leave else ""
        return f"Besluit van de universiteit, sinds {since} ({override.document}): {override.reason}{order}"
    order = " Whoever is there must leave." if override.order_to_leave else ""
    return f"Decision of the university, since {since} ({override.document}): {override.reason}{order}"


def _day(at: datetime, language: Language) -> str:
    day = amsterdam_date(at)
    return f"{day:%d-%m-%Y}" if language == "nl" else f"{day.day} {day:%B %Y}"


#: item of a checklist line -> title (Dutch, English)
ITEMS: dict[str, tuple[str, str]] = {
    "study_related": ("Hoort het bij je studie?", "Is it part of your studies?"),
    "approval": ("Goedkeuring van je opleiding", "Your programme's approval"),
    "timing": ("Op tijd geregistreerd", "Registered in time"),
    "document": ("Document", "Document"),
    "travel_advice": ("Reisadvies", "Travel advice"),
    "stay_contact": ("Bereikbaar tijdens je verblijf", "Reachable during your stay"),
    "group_trip": ("Je groepsreis", "Your group trip"),
    "safety_session": ("Bijeenkomst over gezondheid en veiligheid", "Health and safety session"),
    "page": ("Te lezen", "To read"),
    "clearance": ("Mag je vertrekken?", "May you depart?"),
}


def item_text(item: str, language: Language) -> str:
    """The title of a checklist line."""
    dutch, english = ITEMS[item]
    return dutch if language == "nl" else english
