"""The sources of travel advice: one module for each, and the modules that they share."""
