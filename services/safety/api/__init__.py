"""HTTP of safety: travel advice and its history, sources, holds, overrides."""
