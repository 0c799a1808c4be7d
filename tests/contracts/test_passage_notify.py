"""`passage notify` and `passage drill`: standard output and exit codes; no database is used."""

import json

import pytest
from typer.testing import CliRunner

from services.passage import main

RUN = CliRunner()


def test_preview_is_one_json_document_with_both_languages() -> None:
    """`--json`: one document, nothing else there."""
    result = RUN.invoke(main, ["notify", "preview", "reminder", "--language", "en", "--json"])

    shown = json.loads(result.stdout)
    assert result.exit_code == 0
    assert shown["text"].index("We have not heard from you".upper()) < shown["text"].index("WIJ HEBBEN NOG NIETS")
    assert 1 <= shown["smsSegments"] <= 3


@pytest.mark.parametrize(
    "words",
    [
        ["notify", "preview", "no-such-kind"],
        ["notify", "preview", "reminder", "--language", "de"],
        ["notify", "whereabouts", "--country", "QQ"],
        ["notify", "whereabouts", "--country", "ES", "--region", "FR-IDF"],
        ["notify", "whereabouts", "--country", "ES", "--at", "yesterday"],
        ["notify", "whereabouts", "--country", "ES", "--at", "2026-01-01T12:00:00"],
        ["drill", "--country", "ES", "--message-nl", "a", "--message-en", "b", "--officer", "o-1"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_2_and_says_so(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on standard output; a drill without a list of addresses reaches nobody, so it is refused."""
    monkeypatch.delenv("DRILL_ALLOW_LIST", raising=False)

    result = RUN.invoke(main, words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
