"""Transient is a closed list: of every exception that Python, our libraries and our own code define, only the database,
the broker, the network, time limits and competing writers are waited out. A new class counts as the input's fault.
"""

import builtins
import errno
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator

import pydantic
import pydantic_core
import pytest
import yaml
from pymongo.errors import BulkWriteError, ClientBulkWriteException, OperationFailure, WriteError

import services
import shared
from shared.errors import PermanentError, TransientError
from shared.transient import Unexpected, is_transient, reason_of, try_a_few_times

LIBRARIES = (
    "aiohttp.client_exceptions", "aiokafka.errors", "bson.errors", "cryptography.exceptions", "email.errors",
    "faststream.exceptions", "httpx", "jinja2.exceptions", "jwt.exceptions", "orjson", "phonenumbers", "pydantic",
    "pydantic_core", "pymongo.errors", "yaml", "zlib", "zoneinfo",
)  # fmt: skip
#: Everything that passes by itself, by the module and name of its class. Subclasses stand here too.
TRANSIENT = {
    "builtins": {"BrokenPipeError", "ConnectionAbortedError", "ConnectionError", "ConnectionRefusedError",
                 "ConnectionResetError", "TimeoutError"},
    "pymongo.errors": {"AutoReconnect", "ConnectionFailure", "CursorNotFound", "DuplicateKeyError", "ExecutionTimeout",
                       "NetworkTimeout", "NotPrimaryError", "ServerSelectionTimeoutError", "WTimeoutError",
                       "WaitQueueTimeoutError", "_OperationCancelled"},
    # They are connection errors or time limits of the operating system, too.
    "aiohttp.client_exceptions": {"ClientConnectionResetError", "ConnectionTimeoutError", "ServerTimeoutError",
                                  "SocketTimeoutError"},
}  # fmt: skip
#: The broker's errors that name the message or our code: waiting does not make them better.
KAFKA_NOT_TRANSIENT = {
    "IllegalArgumentError", "InvalidTopicError", "KafkaConfigurationError", "MessageSizeTooLargeError",
    "RecordListTooLargeError", "RecordTooLargeError", "UnsupportedCodecError", "CorruptRecordException",
    "InvalidTimestampError", "PolicyViolationError", "InvalidRequestError", "IllegalStateError", "KafkaError",
}  # fmt: skip
KAFKA_TRANSIENT = {
    "KafkaConnectionError", "KafkaTimeoutError", "NodeNotReadyError", "NotLeaderForPartitionError",
    "NotEnoughReplicasError", "RequestTimedOutError", "LeaderNotAvailableError", "CommitFailedError", "ProducerFenced",
    "RebalanceInProgressError", "GroupCoordinatorNotAvailableError", "UnknownTopicOrPartitionError",
    "ConsumerStoppedError",
}  # fmt: skip


def _validation_error() -> Exception:
    try:
        pydantic.TypeAdapter(int).validate_python("jan@example.nl")
    except pydantic.ValidationError as error:
        return error
    raise AssertionError("a text is no number")


#: Classes whose constructor takes no text.
SPECIAL: dict[type[Exception], Callable[[], Exception]] = {
    ExceptionGroup: lambda: ExceptionGroup("text", [ValueError()]),
    BulkWriteError: lambda: BulkWriteError({}),
    ClientBulkWriteException: lambda: ClientBulkWriteException({}, True),
    pydantic.ValidationError: _validation_error,
    pydantic_core.PydanticKnownError: lambda: pydantic_core.PydanticKnownError("missing"),
}


def _classes(module: str) -> Iterator[type[Exception]]:
    for _, found in inspect.getmembers(importlib.import_module(module), inspect.isclass):
        if issubclass(found, Exception) and not issubclass(found, Warning):
            yield found


def _own_modules() -> Iterator[str]:
    for package in (shared, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield module.name


def _raised(kind: type[Exception]) -> Exception:
    """An error of the class, with its usual attributes where its constructor takes a text."""
    if kind in SPECIAL:
        return SPECIAL[kind]()
    for arguments in (("text",), (), ("text", 1), ("text", "text"), ("text", "text", "text")):
        try:
            return kind(*arguments)
        except Exception:
            continue
    return kind.__new__(kind)


@pytest.mark.parametrize("module", ["builtins", *LIBRARIES])
def test_only_the_closed_list_is_transient(module: str) -> None:
    """Every exception class of the module is judged, and only those that this file lists are waited out."""
    names = {kind.__name__ for kind in _classes(module) if is_transient(_raised(kind))}

    if module == "aiokafka.errors":
        assert names >= KAFKA_TRANSIENT
        assert not names & KAFKA_NOT_TRANSIENT
    else:
        assert names == TRANSIENT.get(module, set())


def test_our_own_errors_are_transient_only_when_they_say_so() -> None:
    """Every error class of our code, found by importing all modules: TransientError and its subclasses, no other."""
    own = {
        kind
        for module in _own_modules()
        for kind in _classes(module)
        if kind.__module__.startswith(("shared.", "services."))
    }

    wrong = [kind for kind in own if is_transient(_raised(kind)) != issubclass(kind, TransientError)]

    assert len(own) > 30
    assert not wrong


def test_a_document_that_mongodb_refuses_is_not_the_database_being_away() -> None:
    """The server's code decides: an election passes, a document that is too large or of another shape never."""
    assert is_transient(OperationFailure("stepped down", 189))
    assert is_transient(OperationFailure("x", 1, {"errorLabels": ["TransientTransactionError"]}))
    assert is_transient(BulkWriteError({"writeErrors": [{"code": 11_000}]}))
    assert not is_transient(WriteError("BSONObjectTooLarge", 10_334))
    assert not is_transient(BulkWriteError({"writeErrors": [{"code": 11_000}, {"code": 2}]}))
    assert is_transient(BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}))
    assert not is_transient(BulkWriteError({"writeErrors": [{"code": 11_000}], "writeConcernErrors": [{"code": 2}]}))


def test_the_machine_is_waited_for_and_a_file_is_not() -> None:
    """A full disk or no free descriptor passes; a missing file is the fault of who named it."""
    assert is_transient(OSError(errno.ENOSPC, "full"))
    assert is_transient(OSError(errno.EMFILE, "too many"))
    assert not is_transient(FileNotFoundError(errno.ENOENT, "none"))


def test_of_a_group_all_must_be_transient() -> None:
    """One bad member makes the group the input's fault."""
    assert is_transient(ExceptionGroup("both", [TimeoutError(), ConnectionResetError()]))
    assert not is_transient(ExceptionGroup("both", [TimeoutError(), OverflowError()]))


async def test_whatever_is_not_transient_is_tried_a_few_times_and_then_permanent() -> None:
    """The text names the error and our line, and quotes nothing that the error says."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise builtins.OverflowError("jan@example.nl is out of range")

    with pytest.raises(Unexpected) as raised:
        await try_a_few_times(work, attempts=2)

    assert calls == 2
    assert "OverflowError in tests/abuse/test_what_is_transient.py" in str(raised.value)
    assert "example.nl" not in str(raised.value)


@pytest.mark.parametrize("error", [TransientError("away"), PermanentError("refused"), TimeoutError()])
async def test_what_is_known_is_raised_at_once(error: Exception) -> None:
    """A known error is not tried again here: its caller waits for it or parks it."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        await try_a_few_times(work)

    assert calls == 1


def test_a_reason_quotes_our_own_refusals_only() -> None:
    """PermanentError carries no personal data by contract; foreign texts may."""
    assert reason_of(PermanentError("stream r-1 is forked")) == "stream r-1 is forked"
    assert reason_of(ValueError("jan@example.nl")) == "ValueError"
    with pytest.raises(yaml.YAMLError) as raised:  # the line of the library, which lies in .venv, helps nobody
        yaml.safe_load("[jan@example.nl")
    assert re.search(r"^\w+ in tests/abuse/test_what_is_transient\.py:\d+ \(\w+\)$", reason_of(raised.value))
