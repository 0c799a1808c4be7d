"""MongoDB of approval: requests, slot pools, and the queries on them."""
