"""registration: who goes where and when, and whether they may."""
