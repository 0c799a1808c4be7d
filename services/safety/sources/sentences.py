"""Cuts a text into sentences. An abbreviation, an initial and a number of a day never end one. Pure.

A sentence that is cut loses its meaning without a trace: "Vor Reisen nach St. Lucia wird gewarnt."
"""

import re

# The end of a word before a full stop is enough: abbreviations are short.
_END = re.compile(r"(?P<word>\S{0,15}[.!?][)\"'”“’»]?)\s+(?=[\"'„“‘«(]?[A-ZÀ-Ý])")
#: Saints, mountains and forts in names; numbers and measures; titles; German, English, months.
_ABBREVIATED = (
    "st sta sto ste mt mte ft pt prov dist dept no nr nrn nos num ca approx max min km std mio mrd abs art tel str dr "
    "prof mr mrs ms gen gov jr sr bzw usw etc ggf evtl inkl einschl insb insbes sog vgl gem lt allg bes nördl südl "
    "östl westl incl excl esp vs est jan feb apr aug sep sept okt oct nov dez dec"
)
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
# "z.B.", "i. d. R.", "U.S.", "1. Mai".
_INITIALS = re.compile(r"(?:\w\.)*\w\.|\d{1,2}\.")


def split_sentences(text: str) -> list[str]:
    """The sentences of one block of text, each with its full stop."""
    sentences = []
    begin = 0
    for match in _END.finditer(text):
        word = match["word"].lstrip("(„“\"'‘«")
        if _INITIALS.fullmatch(word) or (word.endswith(".") and word[:-1].lower() in _ABBREVIATIONS):
            continue
        sentences.append(text[begin : match.start() + len(match["word"])])
        begin = match.end()
    return [*sentences, text[begin:]]
