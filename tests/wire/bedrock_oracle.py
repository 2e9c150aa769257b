"""The vendor's own client (botocore), which reads answers and checks and writes requests without a network."""

from __future__ import annotations

import base64
import functools
from typing import Any

import pytest


@functools.cache
def service() -> Any:
    """The vendor's description of the service; skips without the client."""
    session = pytest.importorskip("botocore.session", reason="the vendor's client is not installed")
    return session.get_session().get_service_model("bedrock-runtime")


def parsed(body: bytes) -> dict[str, Any]:
    """A whole answer, as the client reads it."""
    model = service().operation_model("Converse")  # first: it skips where the client is not installed
    from botocore.parsers import create_parser

    shape = model.output_shape
    answer = {"status_code": 200, "headers": {}, "body": body}
    found: dict[str, Any] = create_parser("rest-json").parse(answer, shape)
    return found


def parsed_events(body: bytes) -> list[dict[str, Any]]:
    """A stream's events, as the client reads them."""
    model = service().operation_model("ConverseStream")
    from botocore.eventstream import EventStream
    from botocore.parsers import create_parser

    class Raw:
        def stream(self) -> Any:
            yield body

        def close(self) -> None:
            pass

    shape = model.output_shape.members["stream"]
    parser = create_parser("rest-json")
    return list(EventStream(Raw(), shape, parser._event_stream_parser, "ConverseStream"))


def collected(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What a user of the client makes of the events: the answer as a whole body has it."""
    blocks: dict[int, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    for event in events:
        if "contentBlockStart" in event:
            opened = event["contentBlockStart"]
            (kind, value), *_ = opened["start"].items()
            blocks[opened["contentBlockIndex"]] = {kind: dict(value)}
        elif "contentBlockDelta" in event:
            piece = event["contentBlockDelta"]
            block = blocks.setdefault(piece["contentBlockIndex"], {})
            (kind, value), *_ = piece["delta"].items()
            if kind == "text":
                block["text"] = block.get("text", "") + value
            elif kind == "toolUse":
                block["toolUse"]["input"] = block["toolUse"].get("input", "") + value["input"]
            elif kind == "reasoningContent":
                held = block.setdefault("reasoningContent", {})
                for key, part in value.items():
                    held[key] = held[key] + part if key in held else part
            elif kind == "citation":
                block.setdefault("citations", []).append(value)
        elif "messageStop" in event:
            found["stopReason"] = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            found["usage"] = event["metadata"]["usage"]
    found["content"] = [blocks[index] for index in sorted(blocks)]
    return found


def written(body: dict[str, Any], model: str, *, stream: bool) -> tuple[str, Any]:
    """The path and the body that the client would send for a body of ours, which it checks first."""
    import json

    operation = service().operation_model("ConverseStream" if stream else "Converse")
    from botocore.serialize import create_serializer
    from botocore.validate import ParamValidator

    given = _with_bytes({**body, "modelId": model}, operation.input_shape)
    report = ParamValidator().validate(given, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    request = create_serializer("rest-json").serialize_to_request(given, operation)
    return request["url_path"], json.loads(request["body"])


def _with_bytes(value: Any, shape: Any) -> Any:
    """The value with bytes where the wire has base64."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "list":
        return [_with_bytes(item, shape.member) for item in value]
    if shape.type_name == "structure" and isinstance(value, dict) and shape.members:
        known = shape.members
        return {key: _with_bytes(item, known[key]) if key in known else item for key, item in value.items()}
    return value
