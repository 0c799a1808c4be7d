"""Logs: one JSON line per event on standard error. Only allowed fields are written, so no personal data leaks."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

#: Ids, counts, decisions, durations. Never names, addresses, phone numbers, bodies, tokens or texts of people.
ALLOWED = frozenset(
    {
        "about", "alert_id", "attempt", "batch", "channel", "changed", "code", "correlation_id", "count",
        "countries", "country",
        "decision", "delivery_id", "duration_ms", "epoch", "error", "event", "event_id", "event_type", "group",
        "kind", "lane", "level", "level_name", "logger", "method", "next_step", "offset", "outcome", "parked_id",
        "partition", "person_id",
        "priority", "provider", "queue", "reason", "registration_id", "request_id", "role", "route", "rule",
        "selected", "sequence", "service", "shard", "source", "state", "status", "stream", "streamversion", "time",
        "topic", "trace_id", "unknown", "unreachable", "version", "window",
    }
)  # fmt: skip

#: The same line of a library is logged at most once in this time.
REPEAT_SECONDS = 10.0

dropped_fields = 0


def configure(service: str, level: str = "INFO") -> None:
    """Set up logging for a process. Libraries log warnings and errors, without tracebacks."""
    stream = cast("TextIO", _ErrorStream())
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(message)s", force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_LibraryLine(service))
        handler.addFilter(_NoRepeats())
    logging.captureWarnings(True)
    _take_over_libraries()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("faststream").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            lambda logger, name, event: {**event, "service": service},
            allow,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class _ErrorStream:
    """Standard error as it is when a line is written: one that was replaced for a while may be closed by then."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _take_over_libraries() -> None:
    """Libraries that print lines of their own, such as FastStream with its tracebacks, use our handler instead.

    All but the server, which says in plain words where it listens.
    """
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.handlers and not name.startswith("uvicorn"):
            logger.handlers.clear()
            logger.propagate = True


def allow(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop and count the fields that are not allowed: the metric shows the mistake, and nothing leaks."""
    global dropped_fields
    allowed = {key: value for key, value in event.items() if key in ALLOWED}
    missing = len(event) - len(allowed)
    if missing:
        dropped_fields += missing
        allowed["dropped_fields"] = missing
    return allowed


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger. The first argument names the event in snake_case; the others are allowed fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


class _NoRepeats(logging.Filter):
    """Leaves out repeats: a library that retries a missing broker logs that once in 10 s, not a million times."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.lineno)
        if record.created - self._logged_at.get(key, 0.0) < REPEAT_SECONDS:
            return False
        self._logged_at[key] = record.created
        return True


class _LibraryLine(logging.Formatter):
    """Formats a library's line as JSON: logger, level and type of exception, but not its text, which may quote data."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {"event": "library_log", "logger": record.name, "level": record.levelname.lower(),
                "error": _error(record)}  # fmt: skip
        rendered: str = structlog.processors.JSONRenderer()(None, "", {**line, "service": self._service})  # type: ignore[assignment] # str for str
        return rendered


def _error(record: logging.LogRecord) -> str:
    """The type of the exception that a library logs, or that it names in its text; else the place of the line."""
    if record.exc_info and record.exc_info[0]:
        return record.exc_info[0].__name__
    arguments = record.args if isinstance(record.args, tuple) else ()
    named = next((argument for argument in arguments if isinstance(argument, BaseException)), None)
    return type(named).__name__ if named is not None else f"no exception, {record.filename}:{record.lineno}"
