"""Service mail about ordinary work: planned when an event arrives, composed and queued when it is due."""
