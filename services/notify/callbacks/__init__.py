"""Turns what providers post into outcome events and answers. See docs/notifications.md, Receipts and Answers."""
