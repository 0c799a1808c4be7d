"""What auditors run: Kafka alone, read with their own credentials; nothing here can send."""
