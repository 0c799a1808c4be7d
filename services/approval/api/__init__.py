"""HTTP of approval: requests with their steps and decisions, lists by first day, programmes, slots."""
