"""What the approval service decides; pure."""
