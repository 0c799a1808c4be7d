"""HTTP as every service speaks it: identity, problems, idempotency, paging, health; by construction."""
