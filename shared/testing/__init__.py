"""Test support that production code or other tests use: failpoints, and a checker of topics."""
