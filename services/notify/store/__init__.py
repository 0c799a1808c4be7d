"""The collections of notify: whereabouts, advice, alerts, selections, send jobs, deliveries, answers, posts."""
