"""A webhook's password or signature is any bytes at all: a wrong one is 401, never an error of ours."""

import base64

import pytest

from tests.integration.notify_public import PublicRoutes

STRANGE = [b"\xe9", b"\xff\xfe", "é".encode(), "\u200b".encode(), b"=" * 100, b"A" * 7_000, b""]


@pytest.mark.parametrize("path", ["receipts", "inbound"])
async def test_signature_of_any_bytes_is_refused(public: PublicRoutes, path: str) -> None:
    """Every provider, every header that carries its secret: 401, and nothing is stored."""
    for value in STRANGE:
        basic = b"Basic " + base64.b64encode(b"cm:" + value)
        tries = [
            ("twilio", b"X-Twilio-Signature", value),
            *((provider, b"Authorization", text) for provider in ("cm", "spryng") for text in (value, basic)),
        ]
        for provider, header, text in tries:
            answer = await public.http.post(
                f"/v1/webhooks/{provider}/{path}", content=b"MessageSid=1", headers=[(header, text)]
            )
            assert answer.status_code == 401, (provider, value)

    assert await public.notes() == []
