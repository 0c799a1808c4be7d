"""Secrets of a deployment come neither into the repository nor into an image."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRETS = (
    "deploy/.env", ".env", ".env.production", "deploy/keys/jwks.json", "deploy/keys/private.pem", "deploy/tls/ca.key",
    "deploy/tls/kafka.pem", "deploy/tls/gateway.key", "server.key", ".local/secrets.json",
)  # fmt: skip
OTHERS = (".git/config", ".venv/bin/python", "tests/conftest.py", "deploy/local/stack.py", "services/__pycache__/a.pyc")


@pytest.mark.parametrize("secret", SECRETS)
def test_git_ignores_the_secrets_of_a_deployment(secret: str) -> None:
    """`git add .` in a folder that is deployed from takes none of them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    asked = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", secret], cwd=ROOT, check=False)
    assert asked.returncode == 0


def test_builder_gets_what_the_dockerfile_copies_and_nothing_else() -> None:
    """The context of the build holds every source of a COPY, and no history, state, environment or secret."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in dockerfile.splitlines() if re.match(r"COPY (?!--)", line)]
    sources = {source for sources in copied for source in sources}

    assert sources
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert {source for source in sources if is_left_out(source)} == set()
    assert {path for path in (*SECRETS, *OTHERS) if not is_left_out(path)} == set()


def is_left_out(path: str) -> bool:
    """By the rules of .dockerignore: the last pattern that matches the path or a folder above it decides."""
    left_out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if re.fullmatch(_expression(pattern.removeprefix("!")) + r"(/.*)?", path):
            left_out = not pattern.startswith("!")
    return left_out


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*)", pattern)
    return "".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
