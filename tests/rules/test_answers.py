"""Replies by SMS: safe and help only where the meaning is certain; a safety officer reads all others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify.rules.answers import SAFE_REPLIES, ReplyMeaning, read_reply

SAFE = [
    "VEILIG",
    "veilig",
    " Veilig. ",
    "SAFE!",
    "safe",
    "Ok",
    "OK.",
    "Oké",
    "okay",
    "Ik ben veilig",
    "I'm safe",
    "I’m safe!",
]
SAFE += ["I am safe.", "s\u200bafe", "ＳＡＦＥ", '"VEILIG"', "Veilig, ok"]
HELP = [
    "HULP",
    "help",
    "Help!",
    "HELP!!!",
    "hulp?",
    "I need help",
    "Ik heb hulp nodig",
    "SOS",
    "HELP 😭",
    "niet veilig, hulp",
]
HELP += [
    "I am not safe, I need help",
    "help I am stuck in my hotel and cannot leave it any more",
    "Hulp ik kan niet weg",
]
UNCLEAR = [
    "",
    "   ",
    "\n",
    "👍",
    "😀",
    "OK 👍",
    "safe 😭",
    "safe :(",
    "safe ;-(",
    "not safe",
    "Not safe!",
    "NIET VEILIG",
    "niet  veilig",
]
UNCLEAR += [
    "unsafe",
    "onveilig",
    "I am not ok",
    "nog niet veilig",
    "safe?",
    "veilig?",
    "VEILIG of HULP",
    "safe or help?",
]
UNCLEAR += [
    "geen hulp nodig",
    "no help needed",
    "I don't need help",
    "hulp niet nodig",
    "help is not needed, I am safe",
]
UNCLEAR += [
    "s\u0336a\u0336f\u0336e\u0336",
    "saf",
    "safer",
    "veilig thuis? nee",
    "1",
    "ja",
    "yes",
    "nee",
    "no",
    "stop",
    "\u202efas",
]
UNCLEAR += [
    "I'm driving right now and will get back to you later.",
    "Automatisch antwoord: ik ben afwezig tot maandag. Voor dringende hulp bel de receptie.",
    "Out of office. For urgent help please contact my colleague at the service desk.",
    "Ik ben er veilig vandaan maar mijn vriend is zoek",
    "Safe\nbut my friend is missing",
    "ok " * 300,
]


@pytest.mark.parametrize("text", SAFE)
def test_answer_word_for_safe_is_safe(text: str) -> None:
    """The words of the message, in any case and with plain punctuation."""
    assert read_reply(text).meaning is ReplyMeaning.SAFE


@pytest.mark.parametrize("text", HELP)
def test_answer_word_for_help_is_help(text: str) -> None:
    """Help is understood in whole sentences too, because a false alarm costs little."""
    assert read_reply(text).meaning is ReplyMeaning.HELP


@pytest.mark.parametrize("text", UNCLEAR)
def test_answer_anything_else_is_unclear(text: str) -> None:
    """Negation, contradiction, questions, emoji, empty texts, machines: a safety officer reads them."""
    assert read_reply(text).meaning is ReplyMeaning.UNCLEAR


@settings(deadline=None)
@given(st.text(max_size=200))
def test_answer_any_text_is_safe_only_from_the_list(text: str) -> None:
    """Only a listed reply means safe, apart from case, marks and punctuation."""
    reading = read_reply(text)

    letters = "".join(character for character in text.casefold() if character.isalnum())
    listed = {reply.replace(" ", "") for reply in SAFE_REPLIES}
    assert reading.meaning is not ReplyMeaning.SAFE or letters in listed or not text.isascii()


@settings(deadline=None)
@given(st.sampled_from(sorted(SAFE_REPLIES)), st.sampled_from(["not ", "niet ", "no, ", "geen ", "nooit "]))
def test_answer_negated_safe_is_never_safe(reply: str, negation: str) -> None:
    """With a negation before it, no reply means safe."""
    assert read_reply(negation + reply).meaning is ReplyMeaning.UNCLEAR
