"""MongoDB: the one client, transactions, leases and aggregates."""
