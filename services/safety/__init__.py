"""safety: what the travel advice is, since when, and how sure we are."""
