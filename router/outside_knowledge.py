"""Whether a request asks for knowledge from outside: one table of patterns, tried where an instruction stands. Pure.

Only the start and the last line of the user's text are looked at, so time does not grow with the prompt. Precise before
greedy: "the latest commit" and "current directory" are at hand, "the latest news" is not. English only. What works on
its text (classifies, translates, rewrites …) asks nothing of the world, though the text may: only an order to search or
to read a page counts there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from router.chat import JsonObject
from router.chat_turns import objects
from router.task_types import HEAD, TAIL

_SEARCH_TOOLS = ("web_search", "web_fetch", "web_browse", "google_search", "bing_search", "browser_search", "x_search")
"""How the types of tools begin that a vendor runs itself to search or read the web."""
_SEARCH_MODELS = re.compile(r"-search(?:-|\Z)|(?:\A|/)sonar\b|deep-research")
"""Models that search by themselves, by the names of OpenAI and Perplexity."""

_FEW = r"(?:[\w',-]+ ){0,4}?"
_START = (
    r"(?:\A|(?<=[.!?:;,\n])|\b(?:please|can you|could you|would you|will you|then|first|now|you should|let's"
    r"|i (?:want|need|'d like) you to) )[\W_]{0,4}"
)
_NOW = r"(?:latest|newest|most recent|current|currently|today's|up-to-date|live|real-?time)"
_WORLD = (
    r"(?:news|headlines?|weather|forecast"
    r"|(?:(?:stock|share|fuel|gas|gold|bitcoin|btc|oil|house) )?prices? (?:of|for)"
    r"|(?:stock|share|fuel|gas|gold|bitcoin|btc|oil|house) prices?"
    r"|(?:exchange|interest|mortgage|inflation|unemployment) rates?|standings|traffic conditions"
    r"|release notes (?:of|for)|(?:ceo|president|prime minister|chancellor|world champion|population) of"
    r"|(?:(?:stable|lts|released?) )*(?:versions?|releases?) of|cves?|vulnerabilit(?:y|ies) (?:in|of)|box office"
    r"|opening hours|pricing (?:of|for)|research on|developments? (?:in|on))\b"
)
_READ = r"(?:read|open|visit|fetch|browse|look at|go to|have a look at|check out|summari[sz]e|review|analy[sz]e)"
_PAGE = (
    r"https?://(?!localhost|127\.|0\.0\.0\.0|\[::1\]|10\.|192\.168\.|[\w.-]{0,200}\.(?:local|internal|test|invalid)\b)"
    r"[\w-]"
)
_WEB = r"(?:web|internet|google|bing|duckduckgo)\b(?! ?(?:server|apps?|api|component|page|service|socket|log|config))"

ORDERS: Mapping[str, str] = {
    "search": rf"{_START}(?:search|browse|surf|check|consult|scour|query) (?:on |through )?(?:the )?{_WEB}"
    rf"|{_START}(?:search|look (?:it |this |that |them )?up|find {_FEW})\b ?(?:online|on the (?:web|internet))\b"
    rf"|{_START}(?:google|web-?search) (?:for|it|this|that)\b|\buse (?:a |your |the )?(?:web|internet|online) search\b",
    "page": rf"{_START}{_READ} (?:[\w',:-]+ ){{0,4}}?(?:(?:at|from|of|on) )?<?{_PAGE}"
    rf"|\bwhat (?:does|do|is|are) {_FEW}(?:(?:at|on|of) )?<?{_PAGE}[^\s>]{{1,300}}>? (?:say|about|claim)"
    rf"|\A\W{{0,3}}{_PAGE}[^\s>]{{1,300}}\W{{0,3}}\Z",
}
"""Orders to search or to read a page, which hold whatever else a task is."""

QUESTIONS: Mapping[str, str] = {
    "now": r"\b(?:what(?:'s| is| are)|who(?:'s| is)|tell me|show me|give me|get|find|list|how (?:high|much) (?:is|are))"
    rf" {_FEW}{_NOW} {_FEW}{_WORLD}",
    "news": r"\b(?:any|what's the|what is the) (?:breaking |big )?news (?:about|on|from|today|this (?:morning|week))\b"
    rf"|\b{_NOW} (?:(?:world|tech|local|sports|breaking) )?(?:news|headlines)\b",
    "today": r"\b(?:weather|forecast|stock price|share price|exchange rate) [^.?!\n]{0,40}"
    r"\b(?:today|right now|tonight|tomorrow|this week(?:end)?|at the moment)\b"
    r"|\b(?:will it|is it going to) (?:rain|snow) (?:today|tomorrow|tonight|this)\b",
    "price": r"\bhow much (?:does|do|is|are) [^.?!\n]{1,60} (?:cost|trading|worth)"
    r" (?:today|right now|now|these days)\b",
    "state": r"\bwhat(?:'s| is| has) (?:new|changed|happened|happening) (?:in the (?:news|world)|today|this week)\b"
    r"|\bwho (?:won|is winning) (?:the )?[^.?!\n]{1,60}\b(?:last night|yesterday|today|this (?:year|week|season))\b",
}
"""Questions about how the world is now; a task on a text may quote them."""

_ON_TEXT = re.compile(
    r"\b(?:classif\w+|categori[sz]\w+|label|tag|translat\w+|rewrite|rephrase|paraphrase|proofread|summari[sz]\w+"
    r"|extract\w*|correct the|fix the (?:grammar|spelling)|convert|rate the|score the|sentiment|intent|the following"
    r"|draft|unit tests?|implement\w*|refactor\w*|regex|function|class|component|docstring|commit message)\b"
)
_ORDER_WORDS = ("http", "web", "internet", "online", "google", "bing", "duckduckgo")
"""Every order has one of them, and almost no instruction: looking for a word is ten times as fast."""
_ORDER = re.compile("|".join(ORDERS.values()))
_QUESTION = re.compile("|".join(QUESTIONS.values()))


def asks_outside(body: JsonObject, asked: str, system: str, *, known_workflow: bool) -> bool:
    """Say whether a chat request asks for knowledge from outside.

    Args:
        body: the masked request.
        asked: what the user asked last.
        system: the system text.
        known_workflow: whether it belongs to a workflow, whose gate has judged what a specialist knows; then only a
            search by the vendor counts.

    """
    if has_search(body) or _SEARCH_MODELS.search(str(body.get("model"))):
        return True
    return not known_workflow and wants_world(asked, system)


def has_search(body: JsonObject) -> bool:
    """Say whether the vendor is to search the web, or to read pages, by a tool of its own.

    Agents offer that beside their own tools in every request (Codex does), which says nothing of the task.
    """
    kinds = [str(tool.get("type")) for tool in objects(body.get("tools"))]
    if any(kind in ("function", "custom") for kind in kinds):
        return False
    return body.get("web_search_options") is not None or any(kind.startswith(_SEARCH_TOOLS) for kind in kinds)


def wants_world(asked: str, system: str = "") -> bool:
    """Say whether an instruction needs what only the world outside knows, as it is now."""
    places = [_plain(asked[:HEAD])]
    if len(asked) > HEAD:
        places.append(_plain(asked[max(HEAD, len(asked) - TAIL) :].rstrip().rpartition("\n")[2]))
    if any(_ORDER.search(place) for place in places if any(word in place for word in _ORDER_WORDS)):
        return True
    if any(_ON_TEXT.search(place) for place in (*places, _plain(system[:HEAD]))):
        return False
    return any(_QUESTION.search(place) for place in places)


def _plain(text: str) -> str:
    return text.lower().replace("\u2019", "'")
