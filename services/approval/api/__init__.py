"""HTTP of approval: requests with their steps and decisions, queues by first day, programmes, places."""
