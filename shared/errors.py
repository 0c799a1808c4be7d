"""The two bases of all errors between modules: those that may be tried again, and those that may not."""


class TransientError(Exception):
    """The same input may succeed later. Back off and try again."""


class PermanentError(Exception):
    """The same input will always fail. An event is parked with this text, which never holds personal data."""


class TopicMissing(PermanentError):
    """A topic does not exist. Reading fails, because without it the result would be incomplete."""


def describe(error: BaseException) -> str:
    """An error in a log line or a check, never empty. Only our own errors are quoted: others may quote data."""
    words = str(error) if isinstance(error, PermanentError | TransientError) else ""
    return words or type(error).__name__
