"""The text of every reason, in Dutch and English, as students and approvers read it. A test requires both."""

#: reason code -> (Dutch, English)
REASONS: dict[str, tuple[str, str]] = {
    # R3
    "activity_offered": ("Je faculteit biedt deze activiteit aan.", "Your faculty offers this activity."),
    "not_an_activity": ("Dit is geen van de acht activiteiten.", "This is none of the eight activities."),
    "not_offered_by_faculty": (
        "Je faculteit biedt deze activiteit niet aan.",
        "Your faculty does not offer this activity.",
    ),
    # R4
    "before_start": ("De activiteit is nog niet begonnen.", "The activity has not started yet."),
    "already_started": (
        "De activiteit is al begonnen. Alleen de coördinator van de opleiding kan er nog over beslissen, en schrijft op"
        " waarom.",
        "The activity has started already. Only the programme's coordinator can still decide, and writes down why.",
    ),
    "already_over": ("De activiteit is al voorbij.", "The activity is over already."),
    "dates_not_plausible": (
        "De datums van deze aanvraag kunnen niet kloppen. Wijs haar af, en vraag de student om een nieuwe.",
        "The dates of this request cannot be right. Refuse it, and ask the student for a new one.",
    ),
    "reason_required": (
        "De activiteit is al begonnen: schrijf erbij waarom je alsnog beslist.",
        "The activity has started already: write why you still decide.",
    ),
    # R5
    "approver_of_programme": ("Je keurt voor deze opleiding goed.", "You approve for this programme."),
    "not_approver_of_programme": (
        "Hiervoor is een rol als goedkeurder van de eigen opleiding van de student nodig.",
        "This needs an approver role for the student's own programme.",
    ),
    "programme_from_login": (
        "De inlog zegt dat dit de opleiding van de student is.",
        "The login says that this is the student's programme.",
    ),
    "programme_confirmed": (
        "De opleiding heeft bevestigd dat de student er studeert.",
        "The programme has confirmed that the student is one of theirs.",
    ),
    "programme_only_claimed": (
        "Alleen de student zegt dat dit de eigen opleiding is. Kijk na of deze student bij je opleiding hoort, en"
        " bevestig dat met programmeConfirmed.",
        "Only the student says that this is their programme. Check that this student is one of your programme, and"
        " confirm it with programmeConfirmed.",
    ),
    "programme_not_of_the_login": (
        "Volgens je inlog studeer je deze opleiding niet. Kies je eigen opleiding, of neem contact op.",
        "According to your login this is not your programme. Choose your own, or get in touch.",
    ),
    "own_request": ("Niemand beslist over de eigen aanvraag.", "Nobody decides their own request."),
    # the status of a request
    "decidable": ("Er kan over beslist worden.", "It can be decided."),
    "withdrawn": ("De student heeft de aanvraag ingetrokken.", "The student has withdrawn it."),
    "already_decided": ("Er is al over beslist.", "It has been decided already."),
    "withdrawable": ("De aanvraag kan worden ingetrokken.", "It can be withdrawn."),
    "already_revoked": ("De goedkeuring is al teruggenomen.", "The approval has been taken back already."),
    "revocable": ("De goedkeuring kan worden teruggenomen.", "The approval can be taken back."),
    "not_granted": ("Er is geen goedkeuring om terug te nemen.", "There is no approval to take back."),
    "already_withdrawn": ("De aanvraag is al ingetrokken.", "It has been withdrawn already."),
    "already_refused": (
        "De aanvraag is geweigerd en kan niet meer worden ingetrokken.",
        "It was refused and cannot be withdrawn any more.",
    ),
    "answerable": ("Er is een vraag gesteld.", "A question was asked."),
    "nothing_asked": ("Er is geen vraag gesteld.", "No question was asked."),
    # R29
    "programme_has_projects": ("Je opleiding heeft deze projecten.", "Your programme has these projects."),
    "another_programme": (
        "De onderzoeksprojecten zijn voor andere opleidingen. De coördinator van je eigen opleiding kijkt ernaar.",
        "The research projects are for other programmes. The coordinator of your own programme looks at it.",
    ),
    # R30, R31
    "listed_institute": ("Het instituut staat op de lijst.", "The institute is on the list."),
    "partner_institute": ("Het instituut is een partner.", "The institute is a partner."),
    "not_a_partner_network": (
        "Noem het netwerk waardoor het instituut een partner is.",
        "Name the network through which the institute is a partner.",
    ),
    "not_a_partner_institute": (
        "Dit is geen partnerinstituut. Kies er een van de lijst, of zeg dat het je eigen keuze is.",
        "This is not a partner institute. Choose one of the list, or say that it is your own choice.",
    ),
    "partner_institute_not_said": (
        "Kies het partnerinstituut van de lijst.",
        "Choose the partner institute from the list.",
    ),
    "own_choice_to_be_discussed": (
        "Een instituut van je eigen keuze bespreek je met je begeleider; dat wordt vastgelegd.",
        "An institute of your own choice is discussed with your supervisor, which is recorded.",
    ),
    "own_choice_without_reason": (
        "Schrijf waarom je dit instituut kiest.",
        "Write why you choose this institute.",
    ),
    "institute_not_said": (
        "Zeg of het instituut op de lijst staat, een partner is, of je eigen keuze.",
        "Say whether the institute is listed, a partner, or your own choice.",
    ),
    "in_a_theme": ("Het project valt binnen een thema.", "The project lies within a theme."),
    "not_a_theme": ("Dit is geen thema van de faculteit.", "This is not a theme of the faculty."),
    "outside_the_themes": (
        "Een project buiten de thema's heeft eerst goedkeuring van het thema nodig.",
        "A project outside the themes first needs approval of its theme.",
    ),
    # R32
    "no_advice_to_stay": ("Hier is geen advies voor.", "There is no advice about this."),
    "in_europe": ("Het land ligt in Europa.", "The country is in Europe."),
    "better_in_europe": (
        "Het advies is om voor deze stage in Europa te blijven. Het is geen beletsel.",
        "The advice is to stay in Europe for this internship. It does not block your request.",
    ),
    # R33
    "criteria_to_be_confirmed": (
        "De coördinator bevestigt dat het coschap aan alle eisen van een regulier coschap voldoet.",
        "The coordinator confirms that it meets all criteria of a regular internship.",
    ),
    "not_a_medicine_student": (
        "Een regulier coschap in het buitenland is voor studenten Geneeskunde.",
        "A regular clinical rotation abroad is for Medicine students.",
    ),
    "rotation_not_said": (
        "Zeg of het een regulier coschap is of een keuzecoschap.",
        "Say whether it is a regular rotation or an elective.",
    ),
    # R34
    "place_from_pool": (
        "Voor dit coschap zijn er enkele plaatsen. Zijn ze bezet, dan kom je op de wachtlijst.",
        "There are a few places for this rotation. If they are taken, you are put on the waiting list.",
    ),
    "no_slots_configured": (
        "Voor deze periode zijn er geen plaatsen bekend. Het International Office kijkt ernaar.",
        "No places are known for this period. The International Office looks at it.",
    ),
    "cluster_not_said": ("Zeg om welk cluster het gaat.", "Say which cluster it is."),
    "not_a_cluster": ("Dit cluster is er in dat land niet.", "There is no such cluster in that country."),
    "hospital_of_cluster": ("Het ziekenhuis hoort bij het cluster.", "The hospital belongs to the cluster."),
    "no_hospital_wished": ("Je noemt geen ziekenhuis.", "You name no hospital."),
    "not_a_hospital": (
        "Dit ziekenhuis hoort niet bij het cluster. Kies er een van de lijst, of laat het open.",
        "This hospital does not belong to the cluster. Choose one of the list, or leave it open.",
    ),
    "allocated": ("Je hebt een plaats.", "You have a place."),
    "waitlisted": ("Je staat op de wachtlijst.", "You are on the waiting list."),
    "already_in_pool": (
        "Je hebt al een aanvraag voor deze plaatsen.",
        "You already have a request for these places.",
    ),
    "waiting_list_full": ("De wachtlijst is vol.", "The waiting list is full."),
    "promoted": ("Er kwam een plaats vrij; die is nu voor jou.", "A place became free; it is now yours."),
    "nobody_to_promote": ("Niemand wacht op een plaats.", "Nobody waits for a place."),
    "on_waiting_list": (
        "De student staat op de wachtlijst en heeft nog geen plaats.",
        "The student is on the waiting list and has no place yet.",
    ),
    "no_place": ("De student heeft geen plaats.", "The student has no place."),
    # R35, R36
    "office_to_be_contacted": (
        "Neem eerst contact op met het International Office; dat wordt vastgelegd.",
        "Contact the International Office first, which is recorded.",
    ),
    "no_office_needed": (
        "Het International Office hoeft er niet naar te kijken.",
        "The International Office does not have to look at it.",
    ),
    "free_choice": (
        "Je keuze is vrij en hoort niet bij het curriculum. Krijg je er studiepunten of geld van de universiteit voor,"
        " of komt het op je cijferlijst, dan moet je het ook registreren.",
        "It is your free choice and not part of the curriculum. If you earn credits or get university funding for it,"
        " or it will be on your transcript, you must register it as well.",
    ),
    # R37
    "credits_to_be_asked": (
        "Je wilt er studiepunten voor: het antwoord van de vakcoördinator wordt eerst vastgelegd.",
        "You want credits for it: the course coordinator's answer is recorded first.",
    ),
    "without_credits": ("Je krijgt er geen studiepunten voor.", "You earn no credits for it."),
    "credits_not_said": ("Zeg of je er studiepunten voor wilt.", "Say whether you want credits for it."),
    "others_pay_the_fees": (
        "De universiteit betaalt de kosten van deze school.",
        "The university pays the fees of this school.",
    ),
    "listed_school": ("De school staat op de lijst.", "The school is on the list."),
    "school_of_another_year": (
        "De school staat op de lijst voor een ander jaar. Kijk op de website van de school of zij weer gehouden wordt.",
        "The school is on the list for another year. See on the school's website whether it is held again.",
    ),
    "not_a_listed_school": (
        "Deze school staat niet op de lijst. Kies er een, of laat dit veld leeg en beschrijf de school.",
        "This school is not on the list. Choose one, or leave this field empty and describe the school.",
    ),
    "school_not_said": (
        "Kies de school van de lijst. Staat zij er niet bij, beschrijf haar dan.",
        "Choose the school from the list. If it is not there, describe it.",
    ),
    "another_school": (
        "De school staat niet op de lijst. De coördinator van je opleiding kijkt ernaar.",
        "The school is not on the list. The coordinator of your programme looks at it.",
    ),
    "no_schools_listed": ("Er is geen lijst van scholen.", "There is no list of schools."),
    "student_pays_the_fees": ("De kosten van de school betaal je zelf.", "You pay the school's fees yourself."),
    # steps and grants
    "recordable": ("De stap kan worden vastgelegd.", "The step can be recorded."),
    "not_demanded": ("Geen regel vraagt deze stap bij deze aanvraag.", "No rule demands this step for this request."),
    "wrong_role": ("Iemand anders legt deze stap vast.", "Another person or office records this step."),
    "grantable": ("Er ontbreekt niets.", "Nothing is missing."),
    "step_missing": (
        "Een stap die nodig is, is nog niet vastgelegd.",
        "A step that is needed has not been recorded yet.",
    ),
    "step_answered_no": (
        "Een stap die nodig is, kreeg als antwoord: nee.",
        "A step that is needed was answered with no.",
    ),
}


def text(reason: str, language: str) -> str:
    """The reason in `nl` or, for anything else, in English."""
    dutch, english = REASONS[reason]
    return dutch if language == "nl" else english


#: What a refused request says (Dutch, English), beside the reasons
PROBLEMS: tuple[tuple[str, str], ...] = (
    ("is geen opleiding die bij je login hoort", "is not one of your login's programmes"),
    ("er staat een aanvraag twee keer in", "a request stands in it twice"),
    ("is verplicht: de student heeft de opleiding alleen zelf opgegeven", "is required: the programme is only claimed"),
    ("Alleen de student kan die intrekken.", "Only the student can withdraw it."),
    ("Alleen de student kan antwoorden.", "Only the student can answer."),
    (
        "ontbreekt: een student die later een plaats krijgt, hoort dat per mail",
        "is required: a student who gets a slot later is notified by mail",
    ),
    ("ligt voor het begin", "lies before the start"),
    ("heeft zulke onderzoeksprojecten niet", "has no such research projects"),
    ("wordt bij deze activiteit niet gevraagd", "is not asked for this activity"),
    ("is nodig om terug te sturen, te weigeren of terug te nemen", "is required to return, refuse or revoke"),
    ("is nodig na het begin van de activiteit", "is required after the start of the activity"),
    ("is al voorbij", "has passed already"),
)
