"""What notify keeps in its database: whereabouts, advice, alerts and selections, lanes and windows, deliveries."""
