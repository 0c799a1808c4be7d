"""The settings of every service, from environment variables. `services/<name>/settings.py` adds a service's own."""

import base64
import binascii
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bus.settings import BusSettings
from shared.errors import PermanentError
from shared.web.identity import TokenRules
from shared.web.service import WebSettings


def _key(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        key = base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(key) != 32:
        raise ValueError("must be the base64 of 32 bytes")
    return key


Key = Annotated[bytes, BeforeValidator(_key), Field(repr=False)]


class BadEnvironment(PermanentError):
    """Variables are missing or wrong. The text names all of them, but no value."""


class CommonSettings(BaseSettings):
    """Read from environment variables with the field's name in capitals. No configuration files are read."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    env: Literal["local", "production"] = Field(
        default="production", description="production requires encrypted connections"
    )
    namespace: str = Field(
        default="",
        pattern=r"^[a-z0-9-]{0,30}$",
        description="Prefix of topics, consumer groups and databases",
    )
    instance: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9.-]{0,80}$",
        description="Static member id of this process in Kafka, for one process alone; empty: none",
    )
    role: Literal["all", "api", "worker"] = Field(
        default="all", description="api: routes; worker: background work; all: both"
    )
    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port, comma-separated")
    kafka_ca_file: Path | None = Field(
        default=None, description="PEM file of the brokers' certificate authority; turns on TLS"
    )
    kafka_username: str | None = Field(default=None, description="User for SCRAM-SHA-512")
    kafka_password: SecretStr | None = None
    mongo_url: SecretStr = Field(description="Connection string of the replica set; with tls=true in production")
    key_encryption_key: Key = Field(description="Base64 of 32 bytes; encrypts the persons' keys")
    jwks: str = Field(min_length=1, description="URL or file of the login's public keys (JWKS)")
    token_issuer: str = Field(min_length=1, description="Exact `iss` of the login's tokens")
    token_audience: str = Field(min_length=1, description="Our id in the tokens' `aud`")
    roles_claim: str = Field(default="roles", description="Claim of the tokens that holds the roles")
    student_number_claim: str = Field(
        default="", max_length=100, description="Claim with the student number; empty: students enter it themselves"
    )
    programme_claim: str = Field(
        default="",
        max_length=100,
        description="Claim with the student's programmes, as ids of the catalogue; empty: the approver confirms it",
    )
    root_path: str = Field(
        default="", pattern=r"^(/[a-z-]+)*$", description="Path prefix of this service at the gateway"
    )
    topics_file: Path = Field(default=Path("deploy/topics.yaml"), description="File that declares the topics")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    request_limit_bytes: int = Field(default=1_000_000, ge=1_000, description="Largest request body, bytes")
    request_timeout_seconds: float = Field(default=30, gt=0, description="Time limit of a request, seconds")
    requests_per_second: float = Field(
        default=50,
        ge=0,
        description="Average rate of one caller at one process, with bursts of four seconds; 0: no limit",
    )
    web_origins: str = Field(
        default="",
        pattern=r"^(https?://[^\s,/*]+(, *https?://[^\s,/*]+)*)?$",
        description="Origins whose web pages may call the API: https://host, comma-separated; empty: none",
    )

    @model_validator(mode="after")
    def _require_encryption_in_production(self) -> "CommonSettings":
        if self.env == "production":
            missing = [
                name
                for name, setting in {
                    "KAFKA_CA_FILE": self.kafka_ca_file,
                    "KAFKA_USERNAME": self.kafka_username,
                    "tls=true in MONGO_URL": "tls=true" in self.mongo_url.get_secret_value() or None,
                }.items()
                if setting is None
            ]
            if missing:
                raise ValueError(f"ENV=production also needs {', '.join(missing)} (ENV=local does without)")
        return self

    def bus(self, service: str) -> BusSettings:
        """How this process reaches Kafka. Raises OSError when KAFKA_CA_FILE cannot be read."""
        context = ssl.create_default_context(cafile=self.kafka_ca_file) if self.kafka_ca_file else None
        return BusSettings(
            self.kafka_bootstrap_servers,
            self.namespace,
            service,
            self.instance,
            str(self.topics_file),
            self.kafka_username,
            self.kafka_password.get_secret_value() if self.kafka_password else None,
            context,
        )

    def tokens(self) -> TokenRules:
        """The requirements for callers' tokens."""
        return TokenRules(
            self.token_issuer,
            self.token_audience,
            self.jwks,
            self.roles_claim,
            student_number_claim=self.student_number_claim,
            programme_claim=self.programme_claim,
        )

    def web(self) -> WebSettings:
        """Limits and prefix of the HTTP side."""
        origins = tuple(origin.strip() for origin in self.web_origins.split(",") if origin.strip())
        return WebSettings(self.root_path, self.request_limit_bytes, self.request_timeout_seconds, origins)


class CatalogueSettings(CommonSettings):
    """The variables of every service that reads the catalogue."""

    catalogue_dir: Path = Field(description="Folder with university.yaml and one YAML file for each faculty")
    catalogue_seconds: float = Field(
        default=2, gt=0, description="Seconds between two checks for changes in the catalogue's files"
    )


S = TypeVar("S", bound=CommonSettings)


def from_environment(settings: type[S]) -> S:
    """The settings of this process. Raises BadEnvironment, which names every missing or wrong variable."""
    try:
        return settings()
    except ValidationError as error:
        raise BadEnvironment("; ".join(_sentence(problem) for problem in error.errors(include_input=False))) from None


def _sentence(problem: Any) -> str:
    name = ".".join(str(part).upper() for part in problem["loc"])
    reason = "is not set" if problem["type"] == "missing" else str(problem["msg"]).removeprefix("Value error, ")
    return f"{name} {reason}".strip() if problem["type"] == "missing" else f"{name}: {reason}".removeprefix(": ")
