"""`python -m deploy.prepare`: what a deployment with compose.yaml needs before its first start, in deploy/.

It writes `.env` with random secrets, and `tls/` with an authority and certificates. Files and values that exist stay as
they are: a second run adds the missing ones. `--folder` puts both elsewhere.
"""

import argparse
import base64
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.certificates import Authority

DEPLOY = Path(__file__).resolve().parent


def _key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _password() -> str:
    return secrets.token_hex(24)


#: Variable → how its value is made.
SECRETS: dict[str, Callable[[], str]] = {
    "KEY_ENCRYPTION_KEY": _key,
    "SERVICE_KEY": _key,
    "WEBHOOK_SECRET": _password,
    "MONGO_ROOT_PASSWORD": _password,
    # MongoDB takes 6 to 1,024 base64 characters.
    "MONGO_MEMBER_KEY": lambda: base64.b64encode(os.urandom(48)).decode(),
    "APPROVAL_PASSWORD": _password,
    "REGISTRATION_PASSWORD": _password,
    "SAFETY_PASSWORD": _password,
    "NOTIFY_PASSWORD": _password,
    "AUDITOR_PASSWORD": _password,
}


def prepare(folder: Path) -> list[str]:
    """Write the missing files in the folder; returns the variables of `.env` that have to be filled in by hand."""
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    environment = folder / ".env"
    text = (environment if environment.exists() else DEPLOY / "env.example").read_text(encoding="utf-8")
    filled = _filled(text)
    environment.touch(mode=0o600)
    environment.write_text(filled, encoding="utf-8")
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", filled, re.MULTILINE))
    _write_certificates(folder / "tls", values)
    return [name for name, value in values.items() if not value]


def _filled(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        made = SECRETS.get(match[1])
        return f"{match[1]}={made()}" if made else match[0]

    return re.sub(r"^([A-Z_]+)=$", one, text, flags=re.MULTILINE)


def _write_certificates(folder: Path, values: Mapping[str, str]) -> None:
    """An authority, and a certificate for each server.

    Only the folder is closed (0700). Its files are mounted one by one into containers whose users differ.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not certificate.exists():
        created = Authority.create()
        key.touch(mode=0o600)
        key.write_bytes(created.key)
        _write(certificate, created.certificate)
    authority = Authority(certificate.read_bytes(), key.read_bytes())
    for server in ("kafka", "mongo"):
        if not (folder / f"{server}.pem").exists():
            issued = authority.issue([server, "localhost", "127.0.0.1"])
            _write(folder / f"{server}.pem", issued.key + issued.certificate)
    if not (folder / "gateway.crt").exists():
        # To try it with; for people, a certificate of an authority that their browsers know takes its place.
        issued = authority.issue([values.get("GATEWAY_NAME") or "localhost"])
        _write(folder / "gateway.crt", issued.certificate)
        _write(folder / "gateway.key", issued.key)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o644)


def main() -> None:
    """Prepare, and name the steps that remain to be done by hand."""
    parser = argparse.ArgumentParser(prog="python -m deploy.prepare", description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEPLOY, help="where .env, keys/ and tls/ are written")
    folder: Path = parser.parse_args().folder
    missing = prepare(folder)
    if missing:
        sys.stdout.write(f"Fill in, in {folder / '.env'}: {', '.join(missing)}.\n")
    sys.stdout.write(f"Put the public certificate of the gateway into {folder / 'tls'}: gateway.crt and gateway.key.\n")


if __name__ == "__main__":
    main()
