"""The texts of reasons and checklist lines, in Dutch and English. A test checks that every reason has both."""

from collections.abc import Mapping, Sequence
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
    "programme_not_of_the_login": (
        "Volgens je inlog studeer je deze opleiding niet. Kies je eigen opleiding, of neem contact op.",
        "According to your login this is not your programme. Choose your own, or get in touch.",
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
    "extended_during_stay": (
        "Je wijziging is opgeslagen en telt vanaf nu. De contactpersoon van je faculteit kijkt alleen naar wat nieuw "
        "is; je kunt blijven waar je bent.",
        "Your change is stored and counts from now on. Your faculty's contact person looks only at what is new; you "
        "can stay where you are.",
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
        "Een deel van het land heeft een ander reisadvies, en het is niet zeker of jij daar bent. Noem de regio; een "
        "veiligheidsfunctionaris beslist erover.",
        "A part of the country has a different travel advice, and it is not certain whether you will be there. Name "
        "the region; a safety officer will decide about it.",
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
    "picture_is_heic": (
        "is een HEIC-foto; deel of bewaar de foto als JPEG en voeg die toe",
        "is a HEIC picture; share or save it as JPEG and attach that",
    ),
    "not_complete": (
        "is niet compleet: het einde ontbreekt; open het, sla het opnieuw op en voeg het nog eens toe",
        "is not complete: its end is missing; open it, save it again and attach it once more",
    ),
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
    "accepted_by_person": (
        "Een medewerker heeft ernaar gekeken: dit is in orde.",
        "A member of staff has looked at it: this is in order.",
    ),
    "still_with_person": (
        "Een medewerker kijkt nog naar je registratie. Neem contact op als het te lang duurt.",
        "A member of staff is still looking at your registration. Get in touch if it takes too long.",
    ),
    "refused_cause_gone": (
        "Je registratie is afgewezen om een oorzaak die nu weg is. Een medewerker beslist of je alsnog mag vertrekken.",
        "Your registration was refused for a cause that is gone now. A member of staff decides whether you may depart.",
    ),
    # R26
    "identical_registration": (
        "Je hebt deze reis al geregistreerd. Wijzig of annuleer die registratie, of bevestig dat je er twee bedoelt "
        "(`overlapsKnown`).",
        "You have registered this journey already. Change or cancel that registration, or confirm that you mean two "
        "(`overlapsKnown`).",
    ),
    "overlapping_registration": (
        "Je hebt voor deze dagen al een andere reis geregistreerd. Wijzig of annuleer die registratie, of bevestig "
        "dat beide kloppen (`overlapsKnown`).",
        "You have registered another journey on these days. Change or cancel that registration, or confirm that both "
        "are right (`overlapsKnown`).",
    ),
    # R20, R24, R26
    "cleared_underway": ("Je bent onderweg met toestemming.", "You are under way with a clearance."),
    "returned_home": ("Je bent terug: deze reis is voorbij.", "You are back: this journey is over."),
    "return_not_recorded": (
        "De laatste dag van je verblijf is voorbij. Ben je terug, leg dan je terugkeer vast; blijf je langer, wijzig "
        "dan je registratie.",
        "The last day of your stay has passed. If you are back, record your return; if you stay longer, change your "
        "registration.",
    ),
    "return_requested": (
        "Het reisadvies is oranje of rood waar je bent of nog komt. De universiteit vraagt je terug te keren; een "
        "veiligheidsfunctionaris neemt contact met je op.",
        "The travel advice is orange or red where you are or will be. The university asks you to return; a safety "
        "officer will contact you.",
    ),
    "advice_negative_there": (
        "Het reisadvies is hier oranje of rood, of kan dat zijn. Blijf bereikbaar en volg wat je wordt gevraagd.",
        "The travel advice here is orange or red, or may be. Stay reachable and follow what you are asked.",
    ),
    "advice_not_current": (
        "Het nieuwste reisadvies kon niet worden gelezen. Je toestemming blijft gelden; bekijk het advies zelf nog "
        "eens.",
        "The newest travel advice could not be read. Your clearance still holds; look at the advice yourself once "
        "more.",
    ),
    "stay_has_begun": (
        "Je verblijf is begonnen, dus annuleren kan niet meer: dan zou niemand je daar zoeken als er iets gebeurt. "
        "Ben je terug, of ben je niet gegaan? Leg dan je terugkeer vast, met de dag (POST …/return, outcome "
        "`returned`). Blijf je langer of ga je verder, wijzig dan je registratie.",
        "Your stay has begun, so it can no longer be cancelled: nobody would look for you there if something happens. "
        "Are you back, or did you not go? Then record your return, with the day (POST …/return, outcome `returned`). "
        "If you stay longer or move on, change your registration.",
    ),
    "stay_moved_ahead": (
        "Je verblijf is begonnen; het kan niet naar later worden verplaatst, want dan telt niemand je daar nog mee. "
        "Ben je terug, of ben je niet gegaan? Leg dan je terugkeer vast, met de dag (POST …/return, outcome "
        "`returned`), en registreer de nieuwe reis apart.",
        "Your stay has begun; it cannot be moved to later, because nobody would count you there any more. Are you "
        "back, or did you not go? Then record your return, with the day (POST …/return, outcome `returned`), and "
        "register the new journey separately.",
    ),
    "return_is_recorded": (
        "Je terugkeer is vastgelegd: deze reis is voorbij en blijft zo bewaard. Registreer een nieuwe reis apart. "
        "Klopt de terugkeer niet, neem dan contact op.",
        "Your return is recorded: this journey is over and is kept as it is. Register a new journey separately. If "
        "the return is not right, get in touch.",
    ),
    "left_negative_area": (
        "De student was in een gebied met negatief reisadvies en heeft de reis gewijzigd. Ga na of de student er weg "
        "is, en leg de uitkomst vast.",
        "The student was in an area with negative travel advice and has changed the itinerary. Find out whether the "
        "student has left it, and record the outcome.",
    ),
    "asked_to_cancel": (
        "De student is in een gebied met negatief reisadvies en wilde de reis annuleren. Vraag waar de student is, en "
        "leg de uitkomst vast.",
        "The student is in an area with negative travel advice and wanted to cancel. Ask where the student is, and "
        "record the outcome.",
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
        "Je toestemming is eerder opgeschort; de oorzaak daarvan is nu weg. Je coördinator beslist of ze weer geldt.",
        "Your clearance was suspended before; the cause of that is gone. Your coordinator decides whether it holds "
        "again.",
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


#: What blocks a decision, in words for the staff who decide: reason code -> (Dutch, English)
STAFF: dict[str, tuple[str, str]] = {
    "approval_missing": (
        "De registratie noemt nog geen goedkeuring van de opleiding. De student moet die aanvragen, ook na het begin "
        "van de activiteit, en noemen. Beslissen kan als de opleiding die heeft gegeven.",
        "The registration names no approval of the student's programme yet. The student must request it, also after "
        "the start of the activity, and name it. You can decide once the programme has granted it.",
    ),
    "approval_pending": (
        "De student heeft goedkeuring aangevraagd, en de coördinator van de opleiding heeft nog niet beslist.",
        "The student has requested the programme's approval, and its coordinator has not decided yet. You can decide "
        "once it is granted.",
    ),
    "approval_of_another_person": (
        "De genoemde goedkeuring is van iemand anders.",
        "The approval that is named is somebody else's.",
    ),
    "approval_refused": ("De opleiding heeft het niet goedgekeurd.", "The programme has refused it."),
    "approval_withdrawn": (
        "De student heeft de genoemde goedkeuring ingetrokken.",
        "The student has withdrawn the approval that the registration names.",
    ),
    "approval_revoked": (
        "De opleiding heeft de goedkeuring teruggenomen.",
        "The programme has taken its approval back.",
    ),
    "approval_for_another_activity": (
        "De goedkeuring is voor een andere activiteit of opleiding; de coördinator beslist erover.",
        "The approval is for another activity or programme; the coordinator decides about it.",
    ),
    "approval_for_another_country": (
        "De goedkeuring is voor een ander land; de coördinator beslist erover.",
        "The approval is for another country; the coordinator decides about it.",
    ),
    "approval_for_other_dates": (
        "De goedkeuring is voor andere dagen; de coördinator beslist erover.",
        "The approval is for other days; the coordinator decides about it.",
    ),
    "within_two_weeks": (
        "De student vertrekt binnen veertien dagen; de contactpersoon van de faculteit beslist erover.",
        "The student leaves within fourteen days; the faculty's contact person decides about it.",
    ),
    "already_departed": (
        "De student is al vertrokken; de contactpersoon van de faculteit beslist erover.",
        "The student has already left; the faculty's contact person decides about it.",
    ),
    "extended_during_stay": (
        "De student blijft langer of reist verder; de contactpersoon van de faculteit beslist over wat nieuw is.",
        "The student stays longer or moves on; the faculty's contact person decides about what is new.",
    ),
    "advice_negative": (
        "Het reisadvies is oranje of rood: niemand kan toestemming geven.",
        "The travel advice is orange or red: nobody can give a clearance.",
    ),
    "override_negative": (
        "De universiteit verbiedt reizen hierheen: niemand kan toestemming geven.",
        "The university forbids travel to this place: nobody can give a clearance.",
    ),
    "advice_unknown": (
        "Er is geen reisadvies bekend; een veiligheidsfunctionaris beslist erover.",
        "No travel advice is known; a safety officer decides about it.",
    ),
    "advice_stale": (
        "Het reisadvies kon te lang niet worden gelezen; een veiligheidsfunctionaris beslist erover.",
        "The travel advice could not be read for too long; a safety officer decides about it.",
    ),
    "place_unresolved": (
        "Een deel van het land heeft een ander reisadvies en de plaats is niet zeker; een veiligheidsfunctionaris "
        "beslist erover.",
        "A part of the country has a different travel advice and the place is not certain; a safety officer decides "
        "about it.",
    ),
    "documents_missing": (
        "Er ontbreekt nog een document; de student moet het toevoegen.",
        "A document is still missing; the student has to attach it.",
    ),
    "suspended_before": (
        "De toestemming is eerder opgeschort; de coördinator beslist of ze weer geldt.",
        "The clearance was suspended before; the coordinator decides whether it holds again.",
    ),
}


def staff_text(reason: str, language: Language, grounds: LevelGrounds | None = None) -> str:
    """What blocks a decision, in words for staff. `grounds`: as in `reason_text`."""
    if reason not in STAFF:
        return reason_text(reason, language, grounds)
    text = STAFF[reason][0 if language == "nl" else 1]
    return f"{text} {_grounds_text(grounds, language)}".rstrip() if grounds is not None else text


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
    "clearance": ("Toestemming voor je reis", "Clearance for your journey"),
}


def item_text(item: str, language: Language) -> str:
    """The title of a checklist line."""
    dutch, english = ITEMS[item]
    return dutch if language == "nl" else english


#: event -> what happened (Dutch, English), as a part of a sentence
CHANGES: dict[str, tuple[str, str]] = {
    "RegistrationChanged": ("de registratie is gewijzigd", "the registration was changed"),
    "RegistrationHeld": ("de registratie wacht", "the registration waits"),
    "RegistrationRouted": ("een medewerker beslist erover", "a member of staff decides about it"),
    "RegistrationApproved": ("de registratie is goedgekeurd", "the registration was approved"),
    "RegistrationRefused": ("de registratie is afgewezen", "the registration was refused"),
    "RegistrationCancelled": ("de registratie is geannuleerd", "the registration was cancelled"),
    "ClearanceSuspended": ("de toestemming is opgeschort", "the clearance was suspended"),
    "ClearanceRestored": ("de toestemming is hersteld", "the clearance was restored"),
    "DocumentAttached": ("er is een document toegevoegd", "a document was attached"),
    "StayContactUpdated": (
        "de contactgegevens van het verblijf zijn gewijzigd",
        "the contact details of the stay changed",
    ),
    "StayStarted": ("het verblijf is begonnen", "the stay began"),
    "StayEnded": ("de laatste dag is voorbij", "the last day passed"),
    "ReturnRecorded": ("een uitkomst is vastgelegd", "an outcome was recorded"),
    "ReminderDue": ("er is een herinnering gestuurd", "a reminder was sent"),
    "ReminderDropped": ("een herinnering is vervallen", "a reminder was dropped"),
    "SafetySessionRecorded": ("de bijeenkomst is vastgelegd", "the safety session was recorded"),
    "TaskOpened": ("een medewerker kreeg een taak", "a member of staff got a task"),
    "TaskClosed": ("een taak is afgerond", "a task was closed"),
    "TaskClaimed": ("een taak is opgepakt of teruggegeven", "a task was claimed or given back"),
    "TaskCommented": ("er is een opmerking bij een taak geschreven", "a remark was written about a task"),
}


def changes_text(events: Sequence[str]) -> tuple[str, str]:
    """What these events did, in Dutch and in English, each once and in order."""
    texts = [CHANGES.get(event, (event, event)) for event in dict.fromkeys(events)]
    return ", ".join(dutch for dutch, _ in texts), ", ".join(english for _, english in texts)


#: What a refused request says (Dutch, English), beside the reasons
PROBLEMS: tuple[tuple[str, str], ...] = (
    (
        "De documenten van deze registratie, of van deze student, nemen te veel ruimte in. Maak het bestand kleiner, "
        "of vervang een ander door een kleiner.",
        "The documents of this registration, or of this student, take too much room. Make the file smaller, or replace "
        "another one by a smaller one.",
    ),
    ("bevat geen woord om op te zoeken", "has no word to search for"),
    ("is geen opleiding die bij je login hoort", "is not one of your login's programmes"),
    ("Alleen de student kan deze registratie wijzigen.", "Only the student can change this registration."),
    (
        "Alleen de student en de medewerkers die op de student letten, kunnen dit vastleggen.",
        "Only the student and the staff who look after them can record this.",
    ),
    (
        "Alleen de student en het International Office kunnen de contactgegevens wijzigen.",
        "Only the student and the International Office can change the contact details.",
    ),
    (
        "Alleen de student en het International Office kunnen documenten toevoegen.",
        "Only the student and the International Office can attach documents.",
    ),
    ("Dit bestand kan niet worden toegevoegd.", "This file cannot be attached."),
    (
        "Deze registratie is geannuleerd; registreer je opnieuw.",
        "This registration was cancelled; submit a new one.",
    ),
    (
        "De gegevens van deze persoon worden op dit moment gewist. Kijk over tien minuten of de registratie er is; zo "
        "niet, registreer je dan opnieuw.",
        "This person's data are being erased at this moment. Look in ten minutes whether the registration is there; "
        "if it is not, submit it again.",
    ),
    (
        "Het reisadvies is gewijzigd; bekijk het huidige advies en beslis opnieuw.",
        "The travel advice has changed; look at the current advice and decide again.",
    ),
    ("Niemand beslist over de eigen registratie.", "Nobody decides about their own registration."),
    ("Het verblijf is nog niet begonnen.", "The stay has not begun."),
    (
        "Als student kun je alleen vastleggen dat je terug bent.",
        "As the student you can only record that you are back.",
    ),
    (
        "Leg de uitkomst van de terugkeer vast; daarmee is deze taak afgerond.",
        "Record the outcome of the return; that closes this task.",
    ),
    (
        "Een collega heeft deze taak opgepakt; die kan eerst worden teruggegeven.",
        "A colleague has claimed this task; it can be released first.",
    ),
    ("De taak is afgerond.", "The task is closed."),
    ("De groepsreis is gesloten.", "The trip is closed."),
    ("De groepsreis is gesloten; vraag het de reisleider.", "The trip is closed; ask its leader."),
    (
        "Je bent voor deze groepsreis geregistreerd; wijzig die registratie.",
        "You are registered for this trip; change that registration.",
    ),
    ("Niemand wist de eigen gegevens: vraag een collega.", "Nobody erases themselves: ask a colleague."),
    (
        "Deze persoon is in het buitenland en moet misschien worden gezocht: wis de gegevens na de terugkeer.",
        "This person is abroad and may have to be found: erase them after their return.",
    ),
    (
        "Een reis van deze persoon is voorbij zonder vastgelegde terugkeer: leg die eerst vast.",
        "A journey of this person is over and no return is recorded: record the return first.",
    ),
    (
        "Deze persoon gaat op reis: laat eerst de registratie annuleren.",
        "This person is going to travel: have the registration cancelled first.",
    ),
    (
        "Deze persoon zit in een open alert: sluit die eerst.",
        "This person is in an open alert: close the alert first.",
    ),
    ("Deze registratie hoort bij geen groepsreis.", "This registration belongs to no group trip."),
    ("is geen groepsreis", "is no group trip"),
    ("ligt niet tussen de dag van vertrek en vandaag", "is not between the day of departure and today"),
    ("is geen regio van het land (ISO 3166-2)", "region is not one of the country (ISO 3166-2)"),
    ("bevat niets: stuur ten minste één contactgegeven", "gives nothing: send at least one contact detail"),
    (
        "een naam, e-mailadres of mobiel nummer kan niet worden verwijderd: laat het weg, of stuur een ander",
        "a name, email or mobile cannot be removed: leave it out, or send another",
    ),
    ("is niet met procenttekens gecodeerd", "is not percent-encoded"),
    ("is geen UTF-8", "is not UTF-8"),
    ("is een pad en geen bestandsnaam", "is a path, not the name of a file"),
)
