"""What clients tell their own vendor of device, account and session, taken out where another vendor's server is asked.

Claude Code sends a device and account id in `metadata.user_id` and a billing line at the head of `system`, whose hash
differs in every request; Codex sends an installation id in `client_metadata` and its session in `prompt_cache_key`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

from registry.entities import Json
from registry.upstreams import UpstreamSettings
from router.chat import JsonObject

_HOSTS: Final = {"openai": ("openai.com", "chatgpt.com"), "anthropic": ("anthropic.com",)}
_AZURE: Final = ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com", "openai.azure.us")
"""Where Microsoft serves OpenAI's models, with their prompt cache, and is no vendor of its clients."""
_CACHE_KEY: Final = "prompt_cache_key"
_KEY_DIGITS: Final = 32
_FIELDS: Final = ("client_metadata", _CACHE_KEY, "safety_identifier", "user")
_BILLING: Final = re.compile(r"\s*x-anthropic-billing-header:[^\n]*\n*", re.IGNORECASE)
_SYSTEM_ROLES: Final = ("system", "developer")


def is_own_vendor(surface: str, base_url: str) -> bool:
    """Tell whether a server belongs to the vendor whose dialect the client speaks; a compatible one does not."""
    return _is_below(base_url, _HOSTS.get(surface.partition(".")[0], ()))


def _is_below(base_url: str, domains: tuple[str, ...]) -> bool:
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def without_telemetry(body: JsonObject, upstream: UpstreamSettings) -> JsonObject:
    """Return a request of any dialect without its client's ids and billing line; the same object where it has none.

    What the upstream's `pass_fields` name stays. Azure gets a digest as `prompt_cache_key`: it finds the same
    conversation by that, and learns no session's name.
    """
    gone = [name for name in (*_FIELDS, "metadata") if name in body and name not in upstream.pass_fields]
    sent = {name: value for name, value in body.items() if name not in gone or name == "metadata"}
    if _CACHE_KEY in gone and _is_below(upstream.base_url, _AZURE):
        sent[_CACHE_KEY] = hashlib.sha256(f"{upstream.base_url} {body[_CACHE_KEY]}".encode()).hexdigest()[:_KEY_DIGITS]
    metadata = sent.get("metadata")
    if "metadata" in gone and isinstance(metadata, dict) and "user_id" in metadata:
        del sent["metadata"]
        if kept := {name: value for name, value in metadata.items() if name != "user_id"}:
            sent["metadata"] = kept
    for name in ("system", "instructions"):
        if name in sent and (text := _unbilled(sent[name])) != sent[name]:
            sent = {**sent, name: text} if text else {key: value for key, value in sent.items() if key != name}
    for name in ("messages", "input"):
        if (turns := sent.get(name)) and isinstance(turns, list):
            sent[name] = [one for turn in turns if (one := _unbilled_turn(turn)) is not None]
    return body if sent == body else sent


def _unbilled_turn(turn: Json) -> Json:
    """Return a turn without a billing line, None where a system turn held nothing else."""
    if not isinstance(turn, dict) or turn.get("role") not in _SYSTEM_ROLES:
        return turn
    content = turn.get("content")
    kept = _unbilled(content)
    return turn if kept == content else ({**turn, "content": kept} if kept else None)


def _unbilled(content: Json) -> Json:
    if isinstance(content, str):
        return _BILLING.sub("", content, count=1) if _BILLING.match(content) else content
    if not isinstance(content, list):
        return content
    blocks = [(block, _unbilled_block(block)) for block in content]
    return [kept for _, kept in blocks if kept is not None]


def _unbilled_block(block: Json) -> Json:
    """Return a block without a billing line, None where it was nothing else."""
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(text, str) or not _BILLING.match(text):
        return block
    kept = _BILLING.sub("", text, count=1)
    return {**block, "text": kept} if kept else None
