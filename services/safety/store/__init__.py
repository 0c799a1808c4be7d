"""MongoDB of safety: countries and their streams, source states, secondary advice, CAP messages."""
