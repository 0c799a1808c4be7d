"""Reads MONGO_URL as MongoDB's driver reads it: whether it is well formed, encrypted, and logs in.

The driver's own parser decides, because a search for `tls=true` finds it in a password, and misses `ssl=true`.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.uri_parser import parse_uri, split_hosts

SRV = "mongodb+srv://"
#: Options that accept a server which cannot prove who it is.
UNVERIFIED = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
#: Ways to log in that need no user name in the URL: a certificate, or the identity of the machine.
WITHOUT_USERNAME = ("MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI")
FORM = "mongodb://user:password@host:27017/?replicaSet=rs0&tls=true"


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """What a URL says. `is_verified`: the servers must prove who they are, where the connection is encrypted."""

    is_encrypted: bool
    is_verified: bool
    has_login: bool


@lru_cache(maxsize=8)  # reading the system's certificates takes 0.1 s
def read_url(url: str) -> ConnectionDetails:
    """What the URL says; nothing is asked over the network. Raises ValueError, whose text quotes nothing of the URL."""
    is_srv = url.startswith(SRV)
    if is_srv:
        _check_srv_host(url)
        # Read as the plain form: the driver would ask DNS for the hosts of the other.
        url = "mongodb://" + url.removeprefix(SRV)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the driver only warns of an option that stands twice
            parsed = parse_uri(url, validate=True, warn=False)
            MongoClient[dict[str, object]](url, connect=False).close()  # reads the files of certificates
    except OSError:
        raise ValueError("names a file of certificates that cannot be read") from None
    except (ConfigurationError, InvalidURI, ValueError, TypeError, Warning):
        raise ValueError(
            f"is not understood by MongoDB's driver; the form is {FORM}, with the signs : / ? # [ ] @ % of a password "
            "escaped as in URLs"
        ) from None
    options = parsed["options"]
    return ConnectionDetails(
        is_encrypted=bool(options.get("tls", is_srv)),
        is_verified=not any(options.get(option) for option in UNVERIFIED),
        has_login=bool(parsed["username"] and parsed["password"]) or options.get("authMechanism") in WITHOUT_USERNAME,
    )


def _check_srv_host(url: str) -> None:
    hosts = url.removeprefix(SRV).partition("?")[0].partition("/")[0].rpartition("@")[2]
    try:
        nodes = split_hosts(hosts, default_port=None)
    except (ConfigurationError, InvalidURI, ValueError):
        nodes = []
    if len(nodes) != 1 or nodes[0][1] is not None:
        raise ValueError("needs exactly one host, without a port, after mongodb+srv://")
