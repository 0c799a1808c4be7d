"""What operators see: health, logs, metrics, traces."""
