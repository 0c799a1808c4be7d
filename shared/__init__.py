"""What all services stand on. It imports no service."""
