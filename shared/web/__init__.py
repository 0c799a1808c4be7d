"""What all services share of HTTP: identity, problems, idempotency, concurrency, paging, health."""
