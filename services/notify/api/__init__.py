"""HTTP of notify: who is where, the alerts and how far they are, answers by link, what providers post."""
