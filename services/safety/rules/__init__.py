"""What the safety service decides; pure."""
