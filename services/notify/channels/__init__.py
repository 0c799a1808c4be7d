"""How people are told: one module per provider, each with `send() -> list[Outcome]` that never raises."""
