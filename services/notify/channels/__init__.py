"""Sends email and SMS: one module for each provider. Its `send` returns one outcome per message and never raises."""
