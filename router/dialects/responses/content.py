"""Contents of messages and tool outputs, to chat and back; a part that the other form lacks stays as it is."""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.responses.fields import given, objects, table


def content_to_chat(content: Json) -> Json:
    """Return a content in chat's form; one text alone becomes a string, which every model server takes."""
    parts = [_part_to_chat(part) for part in objects(content)]
    if not isinstance(content, list):
        return content
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str() as only}]:
            return only
        case _:
            return [*parts]


def content_from_chat(content: Json, role: Json) -> Json:
    """Return a chat content as a message of a role holds it here."""
    if not isinstance(content, list):
        return content
    return [_part_from_chat(part, "output_text" if role == "assistant" else "input_text") for part in objects(content)]


def _part_to_chat(part: JsonObject) -> JsonObject:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str() as url}:
            return {"type": "image_url", "image_url": {"url": url, **given(detail=part.get("detail"))}}
        case {"type": "input_image", "file_id": str() as file_id}:
            return {"type": "file", "file": {"file_id": file_id}}
        case {"type": "input_file"} if part.get("file_data") or part.get("file_id"):
            fields = {field: part[field] for field in ("file_data", "file_id", "filename") if part.get(field)}
            return {"type": "file", "file": fields}
        # Agents of Codex write to each other in such parts; a vendor other than OpenAI is given plain text there.
        case {"type": "encrypted_content", "encrypted_content": str() as text}:
            return {"type": "text", "text": text}
        case _:
            return part


def _part_from_chat(part: JsonObject, text_type: str) -> JsonObject:
    match part:
        case {"type": "text", "text": text}:
            return {"type": text_type, "text": text}
        case {"type": "image_url"}:
            image = table(part.get("image_url"))
            return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
        case {"type": "file"}:
            return {"type": "input_file", **table(part.get("file"))}
        case _:
            return part
