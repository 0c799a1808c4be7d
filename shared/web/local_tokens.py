"""Keys and tokens of the local stack: an issuer of our own, whose keys lie in a folder. Not for production."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm

ISSUER = "https://login.local.example"
AUDIENCE = "safe-passage"
KEY, JWKS = "private.pem", "jwks.json"
KID = "local-1"


def create_keys(folder: Path) -> Path:
    """Create a key pair, unless the folder has one. Returns the path of the JWKS."""
    if not (folder / JWKS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        private = generate_private_key(SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / KEY).touch(mode=0o600)
        (folder / KEY).write_bytes(pem)
        public = json.loads(ECAlgorithm.to_jwk(private.public_key()))
        document = {"keys": [{**public, "kid": KID, "alg": "ES256", "use": "sig"}]}
        (folder / JWKS).write_text(json.dumps(document), encoding="utf-8")
    return folder / JWKS


def mint(
    folder: Path,
    subject: str,
    roles: list[str],
    *,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
    lifetime_seconds: int = 3_600,
    more: Mapping[str, Any] | None = None,
) -> str:
    """A signed access token; `more`: further claims. Raises FileNotFoundError before `create_keys` has run."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "roles": roles,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_seconds,
        **(more or {}),
    }
    return jwt.encode(claims, (folder / KEY).read_bytes(), algorithm="ES256", headers={"kid": KID, "typ": "at+jwt"})
