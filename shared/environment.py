"""What every settings class is made of: the checks of each variable, the demands of production, and the sentences.

A settings class is the one table of its variables: type, default, description, and a `Demand` where ENV=production
asks for more. `passage settings table` prints it, docs/settings.md shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, GetCoreSchemaHandler, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import PermanentError

MAX_CHARS = 20_000
#: pydantic's types of errors → what our sentence says. The names in braces are pydantic's own.
REASONS = {
    "missing": "is not set",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "is not in the form that its description asks for ({description})",
}


class BadEnvironment(PermanentError):
    """Variables are missing or wrong. The text has a sentence for each, in `mistakes` too, and quotes no value."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(" ".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Demand:
    """What ENV=production demands of a variable, beside the checks of every ENV. An annotation of its type.

    `text` completes a sentence that begins with the variable. `holds(value, others)`: `others` are the values of the
    variables that stand before it and are right.
    """

    text: str
    holds: Callable[[Any, Mapping[str, Any]], bool]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the demand after everything else, unless ENV=local."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        # A wrong ENV counts as production: the demands are shown with the other mistakes.
        if info.data.get("env") != "local" and not self.holds(value, info.data):
            raise ValueError(f"{self.text} (ENV=production)")
        return value


class EnvironmentSettings(BaseSettings):
    """Read from environment variables with the field's name in capitals. No configuration files are read.

    An empty variable counts as not set, because compose passes `${NAME:-}` for each that the operator leaves out.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        validate_default=True,  # demands of production hold for defaults too
        allow_inf_nan=False,
    )

    env: Literal["local", "production"] = Field(
        default="production", description="production demands what the last column says"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_one_clean_line(cls, value: object) -> object:
        if isinstance(value, str):
            if len(value) > MAX_CHARS:
                raise ValueError(f"must have at most {MAX_CHARS} characters")
            if value != value.strip():
                raise ValueError("must not begin or end with a space or a line break")
            if not value.isprintable():
                raise ValueError("must not have a line break or an invisible sign in it")
        return value


S = TypeVar("S", bound=EnvironmentSettings)


def demands(field: FieldInfo) -> list[Demand]:
    """What production demands of a field: on its type, also where the type stands within another one."""
    return [note for note in (*field.metadata, *_notes(field.annotation)) if isinstance(note, Demand)]


def _notes(annotation: Any) -> list[Any]:
    """Every note of an annotation: those of `Annotated[X, note]`, wherever it stands in it."""
    notes = list(getattr(annotation, "__metadata__", ()))
    return notes + [inner for part in get_args(annotation) for inner in _notes(part)]


def from_environment(settings: type[S]) -> S:
    """The settings of this process. Raises BadEnvironment, which names every missing or wrong variable."""
    try:
        return settings()
    except ValidationError as error:
        raise BadEnvironment(
            [_sentence(settings, problem) for problem in error.errors(include_input=False, include_url=False)]
        ) from None


def _sentence(settings: type[EnvironmentSettings], problem: ErrorDetails) -> str:
    field = str(problem["loc"][0])
    within = "".join(f", {part}" for part in problem["loc"][1:] if isinstance(part, int))
    context = {"description": settings.model_fields[field].description, **problem.get("ctx", {})}
    known = REASONS.get(problem["type"])
    reason = known.format(**context) if known else str(problem["msg"]).removeprefix("Value error, ")
    return f"{field.upper()}{within} {reason}."
