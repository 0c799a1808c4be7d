"""The state of notify, folded from events: whereabouts, deliveries and their outcomes, answers. Pure."""
