"""MongoDB: client, transactions, group commit, leases, files."""
