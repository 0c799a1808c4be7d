"""Prometheus metrics, one registry per process. Labels are topics, routes and states, never ids of people."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

requests = Counter("http_requests", "Requests answered", ["route", "method", "status"], registry=REGISTRY)
request_seconds = Histogram("http_request_seconds", "Time to answer", ["route"], registry=REGISTRY)
outbox_age_seconds = Gauge("outbox_age_seconds", "Age of the oldest event not yet on Kafka", registry=REGISTRY)
bus_lag_events = Gauge("bus_lag_events", "Events not yet handled", ["topic"], registry=REGISTRY)
bus_lag_seconds = Gauge("bus_lag_seconds", "Age of the newest event handled", ["topic"], registry=REGISTRY)
bus_restarts = Gauge("bus_restarts", "Restarts of a stuck or dead subscription", ["topic"], registry=REGISTRY)
parked = Gauge(
    "parked_events", "Events that could not be processed and wait for an operator", ["topic"], registry=REGISTRY
)
not_assessable = Gauge("not_assessable", "Registrations that the rules cannot judge", registry=REGISTRY)
set_aside = Gauge(
    "set_aside", "Items of repeated work that fail for a reason of their own", ["kind"], registry=REGISTRY
)
callbacks_failed = Gauge("callbacks_failed", "Receipts that failed in every attempt", registry=REGISTRY)
unread_posts = Gauge(
    "unread_posts", "Replies, receipts and bounces that a person has to read", ["kind", "note"], registry=REGISTRY
)
bounce_mails = Counter(
    "bounce_mails", "Mails to the address of bounces that settle no delivery", ["kind"], registry=REGISTRY
)
send_jobs_quarantined = Gauge("send_jobs_quarantined", "Send jobs that fail in every attempt", registry=REGISTRY)
deliveries = Gauge("deliveries", "Deliveries by state", ["channel", "state"], registry=REGISTRY)
oldest_unsent_seconds = Gauge(
    "oldest_unsent_seconds", "Time since the selection of the oldest message that waits", registry=REGISTRY
)
provider_ok = Gauge(
    "provider_ok",
    "1: the provider takes our messages, or was not asked yet",
    ["channel", "provider"],
    registry=REGISTRY,
)
provider_account_refused = Gauge(
    "provider_account_refused", "1: the provider refuses our account", ["channel", "provider"], registry=REGISTRY
)
provider_refused_share = Gauge(
    "provider_refused_share",
    "Share of the last 15 minutes' messages that the provider did not accept",
    ["channel", "provider"],
    registry=REGISTRY,
)
provider_accepted_age_seconds = Gauge(
    "provider_accepted_age_seconds",
    "Time since the provider last accepted a message; -1: never",
    ["channel", "provider"],
    registry=REGISTRY,
)
feed_age_seconds = Gauge(
    "feed_age_seconds", "Time since a source was last read completely", ["source"], registry=REGISTRY
)
log_fields_dropped = Gauge(
    "log_fields_dropped", "Log fields dropped because they are not on the allow-list", registry=REGISTRY
)


def text() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
