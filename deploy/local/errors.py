"""The error of the local stack: one sentence with a next step."""


class LocalStackError(Exception):
    """Printed without a traceback; the command ends with exit code 1."""
