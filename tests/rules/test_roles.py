"""The roles: one list, the same in the document, in the tokens of the local stack and in what a service believes."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.passage import main
from shared.web.local_tokens import create_keys
from shared.web.roles import PLAIN, SCOPED, is_role, known_roles

STANDARDS = Path(__file__).resolve().parents[2] / "docs" / "standards.md"


def test_roles_are_those_of_the_document() -> None:
    """docs/standards.md, Identity, has the same roles with the same words."""
    table = STANDARDS.read_text(encoding="utf-8").partition("| role | may |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z-]+)(?::<\w+>)?` \| (.+) \|$", table, re.MULTILINE)

    assert dict(rows) == {**SCOPED, **PLAIN}


@pytest.mark.parametrize(
    ("value", "is_known"),
    [
        ("student", True), ("approver:example-biology", True), ("faculty-contact:example-sciences", True),
        ("studnt", False), ("Student", False), ("student:1", False), ("approver", False), ("approver:", False),
        ("", False), ("approver:" + "x" * 120, False),
    ],
)  # fmt: skip
def test_role_table(value: str, is_known: bool) -> None:
    """A scoped role needs its scope, a plain one has none."""
    assert is_role(value) is is_known


def test_passage_token_refuses_a_role_that_does_not_exist_and_names_those_that_do(tmp_path: Path) -> None:
    """A misspelt role would make a token that may do nothing, without a word."""
    create_keys(tmp_path)

    def token(*roles: str) -> tuple[int, str, str]:
        options = [part for role in roles for part in ("--role", role)]
        arguments = ["token", *options, "--person", "student-1", "--keys", str(tmp_path), "--json"]
        result = CliRunner().invoke(main, arguments)
        return result.exit_code, result.stdout, result.stderr

    code, out, words = token("student", "studnt")
    assert (code, out) == (2, "")
    assert "No such role: studnt." in words
    assert all(role in words for role in known_roles())

    code, out, _ = token("student", "approver:example-biology")
    assert (code, json.loads(out)["roles"]) == (0, ["student", "approver:example-biology"])
