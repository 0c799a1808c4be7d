"""Where travel advice comes from: one module per source, and what they share."""
