"""Email addresses as SMTP carries them. The rule is the one of the door: `shared/email_addresses.py`."""

from shared.email_addresses import mailbox

__all__ = ["mailbox"]
