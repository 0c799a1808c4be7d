"""Facts onto Kafka and back: outbox, relay, subscriptions, parking, topics."""
