"""Back-test: replays dated changes of the past through the real rules, with a virtual clock. Nothing is sent."""
