"""Which errors may pass by themselves. Every loop of the services asks here.

Transient is a closed list: the database, the broker, the network, a time limit, a competing writer. Anything else that
is raised is the fault of the input or of the code. It is tried a few times (`try_a_few_times`), then the input is set
aside with the reason, and the next one is worked on. See docs/decisions/0032-transient-is-a-closed-list.md.
"""

import asyncio
import errno
import socket
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from aiokafka import errors as kafka

from shared.errors import PermanentError, TransientError, describe
from shared.mongo.client import PyMongoError
from shared.mongo.transient import is_transient as mongo_error_is_transient

T = TypeVar("T")

#: So often something is tried that fails for a reason of its own.
ATTEMPTS = 4
#: The pause after its first failure; it doubles with each.
PAUSE_SECONDS = 0.1
ROOT = Path(__file__).resolve().parents[1]

#: Errors of the broker beside those that aiokafka itself calls retriable: closed connections, rebalances, the login.
_KAFKA = (
    kafka.AuthenticationFailedError,
    kafka.BrokerNotAvailableError,
    kafka.ClusterAuthorizationFailedError,
    kafka.CommitFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.IllegalGenerationError,
    kafka.KafkaTimeoutError,
    kafka.KafkaUnavailableError,
    kafka.OutOfOrderSequenceNumber,
    kafka.ProducerClosed,
    kafka.ProducerFenced,
    kafka.RebalanceInProgressError,
    kafka.ReplicaNotAvailableError,
    kafka.SaslAuthenticationFailed,
    kafka.TopicAuthorizationFailedError,
    kafka.UnknownMemberIdError,
)
_NETWORK = (ConnectionError, TimeoutError, socket.gaierror, socket.herror)
#: Errors of the operating system that name the machine, not a file.
_MACHINE = frozenset(
    {errno.EAGAIN, errno.EDQUOT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EMFILE, errno.ENETDOWN,
     errno.ENETUNREACH, errno.ENFILE, errno.ENOBUFS, errno.ENOSPC, errno.EROFS}
)  # fmt: skip


class Unexpected(PermanentError):
    """Something failed in every attempt with an error that nobody foresaw. The text names error and line, no data."""

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


def is_transient(error: BaseException) -> bool:
    """Whether the error may pass by itself. Of a group, all must."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(member) for member in error.exceptions)
    if isinstance(error, PyMongoError):
        return mongo_error_is_transient(error)
    if isinstance(error, kafka.KafkaError):
        return bool(error.retriable) or isinstance(error, _KAFKA)
    if isinstance(error, (TransientError, kafka.ConsumerStoppedError, *_NETWORK)):
        return True
    return isinstance(error, OSError) and error.errno in _MACHINE


def reason_of(error: BaseException) -> str:
    """What failed, for a log line, a check or a parked record. Foreign texts are left out: they may quote data."""
    said, place = describe(error), ""
    if said != type(error).__name__:
        return said
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            place = f" in {path.relative_to(ROOT)}:{line} ({frame.f_code.co_name})"
    return said + place


def kind_of(error: PermanentError) -> str:
    """The name of the error that was first raised."""
    return error.kind if isinstance(error, Unexpected) else type(error).__name__


async def try_a_few_times(work: Callable[[], Awaitable[T]], *, attempts: int = ATTEMPTS) -> T:
    """Call `work()` until it succeeds, at most `attempts` times. `work` is idempotent.

    Errors that are transient, and refusals (PermanentError), are raised at once. After the last attempt any other error
    becomes Unexpected.
    """
    for attempt in range(attempts):
        try:
            return await work()
        except PermanentError:
            raise
        except Exception as error:
            if is_transient(error):
                raise
            if attempt + 1 == attempts:
                raise Unexpected(f"{reason_of(error)}, {attempts} attempts", type(error).__name__) from error
        await asyncio.sleep(PAUSE_SECONDS * 2.0**attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")
