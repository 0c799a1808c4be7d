"""The AsyncAPI 3 document of all events on Kafka: channels, keys, messages, writers and readers.

`python -m shared.asyncapi` generates deploy/asyncapi.json from `shared/events.py`; a test fails when that is outdated.
"""

import json
from pathlib import Path
from typing import Any

from shared.events import EVENTS, Event

#: topic → (the service that writes it, the services that read it, its key)
CHANNELS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "travel.approval.v1": ("approval", ("registration", "notify"), "approvalId; slotPoolId for slots"),
    "travel.registration.v1": ("registration", ("notify",), "registrationId; personId for PersonErased"),
    "travel.advice.v1": ("safety", ("registration", "notify"), "country; source for SourceChecked, SourceFailed"),
    "travel.notification.v1": (
        "notify",
        ("notify", "registration"),
        "alertId; alertId.shard for recipients and deliveries",
    ),
}

FILE = Path(__file__).resolve().parent.parent / "deploy" / "asyncapi.json"

_EXTENSIONS = {
    "streamversion": {"type": "integer", "minimum": 1, "description": "Version in the stream, from 1"},
    "sequence": {
        "type": "integer",
        "minimum": 1,
        "description": "Position in the service's chain, from 1; set by the relay",
    },
    "prevhash": {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "SHA-256 of the service's previous event",
    },
    "correlationid": {"type": "string", "description": "The request or read from which everything follows"},
    "causationid": {"type": "string", "description": "The request or event from which this event follows"},
}


def document() -> dict[str, Any]:
    """The document."""
    schemas: dict[str, Any] = {}
    for name, event in EVENTS.items():
        schema = event.model_json_schema(
            by_alias=True, ref_template="#/components/schemas/{model}", mode="serialization"
        )
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Safe Passage events",
            "version": "1.0.0",
            "description": "Facts about student activities abroad. CloudEvents 1.0 as structured JSON.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic: _channel(topic) for topic in CHANNELS},
        "operations": {
            f"{service}.{action}.{topic}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic}"},
                "bindings": {"kafka": {"groupId": {"const": f"{service}.{topic}"}}} if action == "receive" else {},
            }
            for topic, (writer, readers, _) in CHANNELS.items()
            for service, action in [(writer, "send"), *((reader, "receive") for reader in readers)]
        },
        "components": {
            "messages": {name: _message(name) for name in EVENTS},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _channel(topic: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": f"Key: {CHANNELS[topic][2]}",
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name, event in EVENTS.items() if event.topic == topic
        },
    }


def _message(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": _summary(EVENTS[name]),
        "contentType": "application/cloudevents+json",
        "bindings": {"kafka": {"key": {"type": "string", "description": "The stream, UTF-8"}}},
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "type", "source", "time", "subject", "data", *_EXTENSIONS],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "description": "UUID"},
                "type": {"const": name},
                "source": {"type": "string", "const": "/" + CHANNELS[EVENTS[name].topic][0]},
                "time": {"type": "string", "format": "date-time"},
                "subject": {"type": "string", "description": "The stream"},
                "datacontenttype": {"const": "application/json"},
                "dataschema": {"const": f"urn:safe-passage:{name}:1"},
                "traceparent": {"type": "string"},
                **_EXTENSIONS,
                "data": {"$ref": f"#/components/schemas/{name}"},
            },
        },
    }


def _summary(event: type[Event]) -> str:
    return (event.__doc__ or "").strip().splitlines()[0]


def text() -> str:
    """The text of deploy/asyncapi.json."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
