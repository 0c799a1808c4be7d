"""The settings of every service, from environment variables. `services/<name>/settings.py` adds a service's own."""

import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.bus.settings import BusSettings
from shared.environment import Demand, EnvironmentSettings
from shared.setting_types import (
    BaseUrl,
    Certificates,
    Folder,
    HostPorts,
    Interval,
    Key,
    MongoAddress,
    Origins,
    Rate,
    ReadableFile,
    Secret,
    TokenTypes,
    UrlOrFile,
    entries,
)
from shared.web.identity import ACCESS_TOKEN, LEEWAY_SECONDS, TokenRules
from shared.web.local_tokens import ISSUER
from shared.web.service import WebSettings

SET = Demand("must be set", lambda value, others: value is not None)
#: Every reader of the folder with the local keys can make such a token.
NOT_LOCAL = Demand("must not be the issuer of the local tokens", lambda issuer, others: issuer != ISSUER)


class CommonSettings(EnvironmentSettings):
    """The variables of every service."""

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
    kafka_bootstrap_servers: HostPorts = Field(description="host:port, comma-separated")
    kafka_ca_file: Annotated[Certificates | None, SET] = Field(
        default=None, description="PEM file of the brokers' certificate authority; turns on TLS"
    )
    kafka_username: Annotated[str | None, SET] = Field(default=None, description="User for SCRAM-SHA-512")
    kafka_password: Annotated[Secret | None, SET] = Field(default=None, description="Its password")
    mongo_url: MongoAddress = Field(description="Connection string of the replica set")
    key_encryption_key: Key = Field(description="Base64 of 32 bytes; encrypts the persons' keys")
    jwks: UrlOrFile = Field(description="URL or file of the login's public keys (JWKS)")
    token_issuer: Annotated[str, NOT_LOCAL] = Field(min_length=1, description="Exact `iss` of the login's tokens")
    token_audience: str = Field(min_length=1, description="Our id in the tokens' `aud`")
    login_ignores_case: bool = Field(
        default=False,
        description="Whether subjects that differ in case alone are one person; the same for all services",
    )
    token_max_seconds: int = Field(
        default=86_400,
        ge=60,
        le=604_800,
        description="Longest life of a token, seconds; one that is valid for longer is refused",
    )
    token_types: TokenTypes = Field(
        default=ACCESS_TOKEN,
        description="Accepted `typ` of a token's header, comma-separated; `none`: a header without one",
    )
    token_leeway_seconds: int = Field(
        default=LEEWAY_SECONDS, ge=0, le=60, description="Difference that the login's clock and ours may have, seconds"
    )
    roles_claim: str = Field(
        default="roles",
        max_length=100,
        description="Claim of the tokens that holds the roles; with dots for one within others: realm_access.roles",
    )
    student_number_claim: str = Field(
        default="", max_length=100, description="Claim with the student number; empty: students enter it themselves"
    )
    programme_claim: str = Field(
        default="",
        max_length=100,
        description="Claim with the student's programmes, as ids of the catalogue; empty: the approver confirms it",
    )
    public_url: BaseUrl = Field(
        default="", description="Public address of the gateway, shown in the API's document; empty: an invented one"
    )
    root_path: str = Field(
        default="", pattern=r"^(/[a-z-]+)*$", description="Path prefix of this service at the gateway"
    )
    topics_file: ReadableFile = Field(default=Path("deploy/topics.yaml"), description="File that declares the topics")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least important lines that are logged"
    )
    request_limit_bytes: int = Field(
        default=1_000_000, ge=1_000, le=100_000_000, description="Largest request body, bytes"
    )
    request_timeout_seconds: Interval = Field(default=30, description="Time limit of a request, seconds")
    requests_per_second: Annotated[Rate, Demand("must be above 0", lambda rate, others: rate > 0)] = Field(
        default=50, description="Average rate of one caller at one process, with bursts of four seconds; 0: no limit"
    )
    web_origins: Origins = Field(
        default="", description="Origins whose web pages may call the API: https://host, comma-separated; empty: none"
    )
    failpoints_dir: Annotated[str, Demand("must not be set", lambda folder, others: not folder)] = Field(
        default="", description="Folder with failpoints: tests alone set it, to kill a process at a named point"
    )

    @field_validator("kafka_password")
    @classmethod
    def _belongs_to_the_user(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("kafka_username") is not None and value is None:
            raise ValueError("must be set, because KAFKA_USERNAME is")
        if "kafka_username" in info.data and info.data["kafka_username"] is None and value is not None:
            raise ValueError("is of no use without KAFKA_USERNAME")
        return value

    def bus(self, service: str) -> BusSettings:
        """How this process reaches Kafka."""
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
            types=entries(self.token_types),
            student_number_claim=self.student_number_claim,
            programme_claim=self.programme_claim,
            max_seconds=self.token_max_seconds,
            leeway_seconds=self.token_leeway_seconds,
        )

    def web(self) -> WebSettings:
        """Limits and prefix of the HTTP side."""
        origins = tuple(origin.strip() for origin in self.web_origins.split(",") if origin.strip())
        return WebSettings(
            self.root_path,
            self.request_limit_bytes,
            self.request_timeout_seconds,
            origins,
            self.public_url.rstrip("/"),
        )


class CatalogueSettings(CommonSettings):
    """The variables of every service that reads the catalogue."""

    catalogue_dir: Folder = Field(description="Folder with university.yaml and one YAML file for each faculty")
    smtp_non_ascii: bool = Field(
        default=False,
        description="Whether the mail server carries addresses with letters outside ASCII before the @ (SMTPUTF8); "
        "otherwise such an address is refused where a person fills it in",
    )
    catalogue_seconds: Interval = Field(
        default=2, description="Seconds between two checks for changes in the catalogue's files"
    )
