"""The two bases of every error that crosses a border: try again, or do not; and what all readers of Kafka may meet."""


class TransientError(Exception):
    """The same input may succeed later: back off and try again."""


class PermanentError(Exception):
    """The same input fails for ever: park it with this reason, which never holds personal data."""


class TopicMissing(PermanentError):
    """A topic is not there: a partial answer is never called complete."""
