"""The service's MongoDB collections: reads, writes and indexes."""
