"""What people are told: letters and SMS from templates, rendered once and filled in per person; pure."""
