"""What the registration service decides; pure."""
