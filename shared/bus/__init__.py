"""Events to and from Kafka: outbox, relay, bus, subscriptions, parking, topics."""
