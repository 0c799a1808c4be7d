"""What notify knows, folded from events: where people are, what became of each delivery, who answered. Pure."""
