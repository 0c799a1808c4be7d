"""What the notify service decides; pure."""
