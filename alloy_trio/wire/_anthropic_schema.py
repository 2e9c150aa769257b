"""JSON Schemas as Anthropic enforces them. Source: docs.claude.com, "Structured outputs".

A schema that is enforced must close every object, and may not limit numbers, lengths or counts. What it may
not say is moved into the description: the model still reads it, and the answer is checked against the whole
schema by whoever asked for it.
"""

from __future__ import annotations

from typing import Any

_SUBSCHEMAS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf", "oneOf")
_UNENFORCED = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with closed objects and without what the vendor refuses; the given one is not changed."""
    result: dict[str, Any] = {}
    limits: list[str] = []
    for key, value in schema.items():
        if key in _SUBSCHEMAS and isinstance(value, dict):
            result[key] = {name: _closed(part) for name, part in value.items()}
        elif key in _LISTS and isinstance(value, list):
            result["anyOf" if key == "oneOf" else key] = [_closed(part) for part in value]
        elif key == "items":
            result[key] = _closed(value)
        elif key in _UNENFORCED or (key == "minItems" and value not in (0, 1)):
            limits.append(f"{key}: {value}")
        else:
            result[key] = value
    if schema.get("type") == "object" or "properties" in schema:
        # An object with free keys cannot be enforced; the vendor wants this said in any case.
        result["additionalProperties"] = False
    if limits:
        described = result.get("description")
        note = "{" + ", ".join(limits) + "}"
        result["description"] = f"{described} {note}" if isinstance(described, str) else note
    return result


def _closed(value: Any) -> Any:
    return closed(value) if isinstance(value, dict) else value
