"""Which of MongoDB's errors may pass by themselves: away, slow, full, login refused, or another writer won."""

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

_TRANSIENT = (ConnectionFailure, CursorNotFound, DuplicateKeyError, ExecutionTimeout, WTimeoutError)
_LABELS = ("TransientTransactionError", "RetryableWriteError", "UnknownTransactionCommitResult")
#: Source: MongoDB, error_codes.yml. Each names the server's state or a competing writer, never the document.
_CODES = frozenset(
    {
        6, 7, 89, 202, 9001,  # hosts and networks
        13, 18, 391,  # the login: rotated or not yet granted
        24, 46, 112, 225, 239, 246, 251, 290, 11_000,  # locks, competing writers, transactions that ended
        50, 64, 134, 262, 11_601,  # time limits
        91, 133, 189, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436,  # elections, shutdowns
        14_031,  # the disk is full
    }
)  # fmt: skip


def is_transient(error: PyMongoError) -> bool:
    """Whether the same write or read may succeed later. A document that MongoDB cannot take is none of these."""
    if isinstance(error, _TRANSIENT) or any(error.has_error_label(label) for label in _LABELS):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        refusals = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return bool(refusals) and all(refusal.get("code") in _CODES for refusal in refusals)
    return isinstance(error, OperationFailure) and error.code in _CODES
