"""The types of settings: addresses, files, times and secrets, each checked before a service starts.

An error completes a sentence that begins with the variable's name, and quotes nothing of the value.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError

from shared.email_addresses import accepted_address, mailbox
from shared.environment import Demand
from shared.mongo.url import read_url

A_YEAR_SECONDS = 31_622_400.0
MAX_URL_CHARS = 500
MIN_SECRET_CHARS = 32
MIN_STEPS = 10
MAX_HOST_CHARS = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_HTTP_URL = TypeAdapter(HttpUrl)


def given(check: Callable[[str], str]) -> AfterValidator:
    """The check of a text that may be left out: an empty default is not checked."""
    return AfterValidator(lambda value: check(value) if value else value)


# ---------------------------------------------------------------- addresses


def is_host(text: str) -> bool:
    """Whether it is a name or an IP address of a machine."""
    try:
        ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        return len(text) <= MAX_HOST_CHARS and all(_LABEL.fullmatch(label) for label in labels)
    return True


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(value: str) -> str:
    if not is_host(value):
        raise ValueError("must be the name or the IP address of a machine")
    return value


def _host_port(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not is_host(host.removeprefix("[").removesuffix("]") if host.startswith("[") else host):
        raise ValueError("must be host:port")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise ValueError("must have a port from 1 to 65535 after the colon")
    return value


def check_host_ports(value: str) -> str:
    """Addresses of Kafka, as they stand. Raises ValueError."""
    for server in value.split(","):
        try:
            _host_port(server.strip())
        except ValueError:
            raise ValueError("must be host:port, several with commas between them") from None
    return value


def _http_url(value: str) -> str:
    try:
        read = _HTTP_URL.validate_python(value)
        host, port = urlsplit(value).hostname, urlsplit(value).port
    except (ValidationError, ValueError):
        host = port = None
    if host is None or not value.isascii() or " " in value or "\\" in value or not is_host(host) or port == 0:
        raise ValueError("must be an address that begins with https:// or http:// and a host")
    if read.username is not None or read.password is not None:
        raise ValueError("must not have a user name or a password in it")
    if "#" in value:
        raise ValueError("must not have a # in it")
    return value


def _base_url(value: str) -> str:
    if "?" in _http_url(value):
        raise ValueError("must not have a ? in it: paths are added to it")
    return value


def _http_urls(value: str) -> str:
    for url in value.split(","):
        _http_url(url.strip())
    return value


def _origins(value: str) -> str:
    for origin in value.split(","):
        if urlsplit(_http_url(origin.strip())).path or "*" in origin:
            raise ValueError("must be origins such as https://host, without a path, several with commas between them")
    return value


def _email(value: str) -> str:
    try:
        address = mailbox(accepted_address(value, reserved=True))
    except ValueError:
        address = ""
    if not address.isascii() or not address:
        raise ValueError("must be one email address, local@domain, without a name")
    return address


def is_email(value: str) -> bool:
    """Whether it is an email address."""
    try:
        _email(value)
    except ValueError:
        return False
    return True


def _contact(value: str) -> str:
    if not is_email(value.removeprefix("mailto:")):
        try:
            _http_url(value)
        except ValueError:
            raise ValueError("must be an email address, also with mailto:, or a web address") from None
    return value


def _listed(value: str) -> str:
    for entry in entries(value):
        is_domain = entry.startswith("@") and is_host(entry[1:])
        if not (is_domain or is_email(entry) or re.fullmatch(r"\+[0-9]{6,15}", entry)):
            raise ValueError("must hold email addresses, @domains and numbers such as +31612345678, with commas")
    return value


def _token_types(value: str) -> str:
    types = entries(value)
    if not types or not all(re.fullmatch(r"[a-z0-9.+-]{1,40}", kind) for kind in types):
        raise ValueError("must be types such as at+jwt, several with commas between them")
    return value


def entries(listed: str) -> frozenset[str]:
    """The entries of a text with commas between them, in lower case."""
    return frozenset(entry.strip().lower() for entry in listed.split(",") if entry.strip())


# ---------------------------------------------------------------- files


def _file(value: Path) -> Path:
    try:
        with value.open("rb"):
            return value
    except (OSError, ValueError):
        raise ValueError("must name a file that this process can read") from None


def _certificates(value: Path) -> Path:
    try:
        ssl.create_default_context(cafile=_file(value))
    except (ssl.SSLError, OSError):
        raise ValueError("must name a PEM file of certificates") from None
    return value


def _folder(value: Path) -> Path:
    try:
        next(value.iterdir(), None)
    except (OSError, ValueError):
        raise ValueError("must name a folder that this process can read") from None
    return value


def _url_or_file(value: str) -> str:
    return _http_url(value) if "://" in value else value


# ---------------------------------------------------------------- secrets


def _key(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        key = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    if len(key) != 32:
        raise ValueError("must be the base64 of exactly 32 bytes")
    return key


def _mongo_url(value: SecretStr) -> SecretStr:
    read_url(value.get_secret_value())
    return value


def looks_random(secret: bytes) -> bool:
    """False for what a person made up: one sign again and again, a row of signs, a word repeated.

    In random bytes or hexadecimal digits the steps from one to the next take many values: of 32 digits, 12 or more.
    """
    steps = {after - before for before, after in pairwise(secret)}
    return len(steps) >= MIN_STEPS and secret not in (secret + secret)[1:-1]


def is_random_key(key: bytes) -> bool:
    """Whether 32 bytes look random, and not like a text."""
    return looks_random(key) and not all(0x20 <= byte < 0x7F for byte in key)


def _is_random_secret(value: SecretStr, others: Mapping[str, Any]) -> bool:
    text = value.get_secret_value()
    return len(text) >= MIN_SECRET_CHARS and looks_random(text.encode())


def _differs(value: bytes | SecretStr | None, others: Mapping[str, Any]) -> bool:
    for name, other in others.items():
        if isinstance(other, bytes | SecretStr) and value is not None and _plain(other) == _plain(value):
            raise ValueError(f"must differ from every other secret, and is that of {name.upper()} (ENV=production)")
    return True


def _plain(secret: bytes | SecretStr) -> str:
    return base64.b64encode(secret).decode() if isinstance(secret, bytes) else secret.get_secret_value()


def _is_https(value: str | None, others: Mapping[str, Any]) -> bool:
    return all(part.strip().startswith("https://") for part in (value or "").split(",") if part.strip())


def _is_reachable(value: str, others: Mapping[str, Any]) -> bool:
    try:
        return not value or bool(accepted_address(value))
    except ValueError:
        return False


def _is_https_or_file(value: str, others: Mapping[str, Any]) -> bool:
    if "://" in value:
        return value.startswith("https://")
    try:
        return bool(_file(Path(value)))
    except ValueError:
        return False


def _is_sealed_mongo(value: SecretStr, others: Mapping[str, Any]) -> bool:
    url = read_url(value.get_secret_value())
    return url.is_encrypted and url.is_verified and url.has_login


DIFFERENT = Demand("must differ from every other secret", _differs)
HTTPS = Demand("must begin with https://", _is_https)

Host = Annotated[str, given(_host)]
HostPort = Annotated[str, given(_host_port)]
HostPorts = Annotated[str, given(check_host_ports)]
#: An address that is read as it stands, and one that paths are added to.
Url = Annotated[str, Field(max_length=MAX_URL_CHARS), given(_http_url), HTTPS]
BaseUrl = Annotated[str, Field(max_length=MAX_URL_CHARS), given(_base_url), HTTPS]
Urls = Annotated[str, given(_http_urls), HTTPS]
Origins = Annotated[str, given(_origins), HTTPS]
UrlOrFile = Annotated[
    str,
    given(_url_or_file),
    Demand("must begin with https://, or name a file that this process can read", _is_https_or_file),
]
EmailAddress = Annotated[
    str,
    Field(max_length=254),
    given(_email),
    Demand("must not lie in a domain for tests, such as .test", _is_reachable),
]
Contact = Annotated[str, Field(max_length=200), given(_contact)]
Recipients = Annotated[str, given(_listed)]
TokenTypes = Annotated[str, Field(max_length=200), AfterValidator(_token_types)]

ReadableFile = Annotated[Path, AfterValidator(_file)]
Certificates = Annotated[Path, AfterValidator(_certificates)]
Folder = Annotated[Path, AfterValidator(_folder)]

Interval = Annotated[float, Field(ge=0.01, le=A_YEAR_SECONDS)]
Seconds = Annotated[float, Field(ge=0, le=A_YEAR_SECONDS)]
Rate = Annotated[float, Field(ge=0, le=100_000)]

Key = Annotated[
    bytes,
    BeforeValidator(_key),
    Field(repr=False),
    Demand("must be random bytes, not made up", lambda key, others: is_random_key(key)),
    DIFFERENT,
]
Secret = Annotated[SecretStr, Field(min_length=1), DIFFERENT]
#: A password that we choose ourselves.
RandomSecret = Annotated[
    SecretStr,
    Demand(f"must be at least {MIN_SECRET_CHARS} random characters", _is_random_secret),
    DIFFERENT,
]
MongoAddress = Annotated[
    SecretStr,
    AfterValidator(_mongo_url),
    Demand(
        "must be encrypted (tls=true or mongodb+srv), must not switch off the check of certificates, and must hold "
        "a user and a password",
        _is_sealed_mongo,
    ),
]
