"""notify: who is where, who must be told, and what became of every message."""
