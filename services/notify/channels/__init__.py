"""How people are told: one module per provider, each with `send() -> list[SendOutcome]` that never raises."""
