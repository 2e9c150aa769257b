"""Images, films, sounds and documents as Bedrock's Converse API writes them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from alloy_trio.values import Audio, ConfigurationError, Document, Image, Video

_IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_VIDEOS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/mpg": "mpg",
    "video/x-ms-wmv": "wmv",
    "video/wmv": "wmv",
    "video/3gpp": "three_gp",
}
_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/x-aac": "x-aac",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/x-matroska": "mka",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
    "application/json": "txt",
    "application/xml": "txt",
}

_MAX_NAME = 200


def media(block: Image | Audio | Video | Document, name: str) -> dict[str, Any]:
    """The block on the wire.

    Args:
        block: with data, or with the address of an object in S3, the only addresses that the vendor takes.
        name: a document's, see :func:`document_name`.

    Raises:
        ConfigurationError: the wire cannot carry it.
    """
    match block:
        case Image():
            return {"image": {"format": _format(block, _IMAGES), "source": _source(block)}}
        case Video():
            return {"video": {"format": _format(block, _VIDEOS), "source": _source(block)}}
        case Audio():
            return {"audio": {"format": _format(block, _SOUNDS), "source": _source(block)}}
        case Document():
            rendered = {"format": _format(block, _DOCUMENTS), "name": name, "source": _source(block)}
            return {"document": rendered}


def note(block: Image | Audio | Video | Document) -> str:
    """What stands where something cannot be shown."""
    title = f" {block.title!r}" if block.title else ""
    return f"[{type(block).__name__.lower()}{title} of the type {block.media_type}, not shown]"


def document_name(title: str | None, number: int, taken: set[str]) -> str:
    """A document's name as the vendor allows it; it is added to ``taken``.

    Letters, digits, single spaces, hyphens, and round and square brackets; no two documents of a request may
    have the same one.

    Args:
        title: what the user calls it.
        number: the document's place among the conversation's, from 1.
        taken: the names of those before it.
    """
    plain = re.sub(r"[^A-Za-z0-9()\[\]-]+", " ", title or "").strip()[:_MAX_NAME].strip()
    name = plain or f"Document {number}"
    while name in taken:
        name = f"{plain[: _MAX_NAME - 20] or 'Document'} {number}"
        number += 1
    taken.add(name)
    return name


def _format(block: Image | Audio | Video | Document, known: Mapping[str, str]) -> str:
    media_type = block.media_type.partition(";")[0].strip().lower()
    found = known.get(media_type)
    if found is None and isinstance(block, Document) and media_type.startswith("text/"):
        found = "txt"
    if found is None:
        kind = type(block).__name__.lower()
        raise ConfigurationError(
            f"a message holds {kind} data of the type {block.media_type!r}, which Bedrock does not take; "
            f"convert it to one of {', '.join(sorted(set(known.values())))}"
        )
    return found


def _source(block: Image | Audio | Video | Document) -> dict[str, Any]:
    if block.data is not None:
        return {"bytes": base64.b64encode(block.data).decode("ascii")}
    if not str(block.url).startswith("s3://"):
        raise ConfigurationError(
            f"a message holds {type(block).__name__} by the address {block.url!r}, and Bedrock fetches only "
            "objects in S3; give its bytes as data=, or an s3:// address"
        )
    return {"s3Location": {"uri": block.url}}
