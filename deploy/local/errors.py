"""What can stand in the way of the local stack, said in one sentence with a way on."""


class LocalStackError(Exception):
    """Shown as it is, without a traceback; the command ends with exit code 1."""
