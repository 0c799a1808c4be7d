"""What safety does when a source was read, a person decides, or the clock moves on: each decides and appends events."""
