"""Reads the sentences of the Dutch ministry: which colour a text gives to a country and to its parts. Pure."""
