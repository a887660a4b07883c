"""Parts of messages both ways: text, images and documents.

Anthropic refuses text without a visible character, so such parts are left out on the way there.
"""

from __future__ import annotations

import re

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.messages.wire import blocks_of, fields, objects, text
from router.problems import InvalidRequestError

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,(.*)", re.DOTALL)


def chat_parts(block: JsonObject) -> list[Json]:
    """Return a block of a user's turn as chat parts; none for what chat cannot say, such as a tool reference."""
    match block.get("type"):
        case "text":
            return [_text_part(text(block.get("text")))]
        case "image":
            url = _url_of(fields(block.get("source")))
            return [{"type": "image_url", "image_url": {"url": url}}] if url else _file_part(block)
        case "document":
            return _document_parts(block)
        case "search_result":
            found = [text(part.get("text")) for part in objects(block.get("content"))]
            said = [text(block.get("title")), text(block.get("source")), *found]
            return [_text_part("\n".join(line for line in said if line))]
        case _:
            return []


def chat_content(parts: list[Json]) -> Json:
    """Return parts as a message's content: a string where they are one text, which every server takes."""
    match parts:
        case [{"type": "text", "text": only}]:
            return only
        case _:
            return parts


def blocks_from(content: Json, at: str) -> list[Json]:
    """Return a chat message's content as blocks.

    Raises:
        InvalidRequestError: a part has no form there, such as sound.

    """
    parts = blocks_of(content)
    found = [_block_from(part, f"{at}.{place}") for place, part in enumerate(parts)]
    return [block for block in found if block is not None]


def text_blocks(*texts: str) -> list[Json]:
    """Return texts as blocks, less those without a visible character."""
    return [{"type": "text", "text": said} for said in texts if said.strip()]


def _text_part(said: str) -> JsonObject:
    return {"type": "text", "text": said}


def _url_of(source: JsonObject) -> str:
    if source.get("type") == "base64":
        return f"data:{text(source.get('media_type'))};base64,{text(source.get('data'))}"
    return text(source.get("url"))


def _document_parts(block: JsonObject) -> list[Json]:
    source = fields(block.get("source"))
    match source.get("type"):
        case "text":
            return [_text_part(text(source.get("data")))]
        case "content":
            inner = [part for part in blocks_of(source.get("content")) if part.get("type") in ("text", "image")]
            return [part for block in inner for part in chat_parts(block)]
        case _:
            return _file_part(block)


def _file_part(block: JsonObject) -> list[Json]:
    """Return a file by its data, its URL (not every server takes one) or the id that its upstream gave it."""
    source, title = fields(block.get("source")), text(block.get("title"))
    name: JsonObject = {"filename": title} if title else {}
    if source.get("type") == "file":
        return [{"type": "file", "file": {**name, "file_id": source.get("file_id")}}]
    url = _url_of(source)
    return [{"type": "file", "file": {**name, "file_data": url}}] if url else []


def _block_from(part: JsonObject, at: str) -> JsonObject | None:
    match part:
        case {"type": "text", "text": str(said)} | {"type": "refusal", "refusal": str(said)}:
            return {"type": "text", "text": said} if said.strip() else None
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "image", "source": _source(url, at)}
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            return {"type": "document", "source": {"type": "file", "file_id": file_id}}
        case {"type": "file", "file": {"file_data": str(data)}}:
            title = text(fields(part["file"]).get("filename"))
            return {"type": "document", "source": _source(data, at), **({"title": title} if title else {})}
        case {"type": kind}:
            raise InvalidRequestError(f"{at}, a part of type {kind!r}, has no form at an Anthropic upstream", at)
        case _:
            raise InvalidRequestError(f"{at} must be a part with a type", at)


def _source(url: str, at: str) -> JsonObject:
    """Return where data comes from: in the request, or from an address that the upstream fetches."""
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    found = _DATA_URL.fullmatch(url)
    if not found:
        raise InvalidRequestError(f"{at} has a data: URL that is not base64; send data:TYPE;base64,DATA", at)
    return {"type": "base64", "media_type": found[1], "data": found[2]}
