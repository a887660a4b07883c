"""The type of a task by how its instruction begins: one table of patterns, tried where clauses begin. Pure.

Only the start and the last line of the user's text and the start of the system text are looked at, so time does not
grow with the prompt. What matches nothing, or two types, has none: no guess is made. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from registry.settings import TaskType

HEAD = 280
"""Characters looked at, at the start of the user's and of the system text."""
TAIL = 200
"""Characters looked at, at the end of the user's text."""

_CLAUSE_ENDS = re.compile(r"[\n.!?:]+|, (?:and |then )?|(?<=\w) (?:and|then) ")
_MARKUP = " \t\r#>*`'\"“”()[]-\u2013\u2014•0123456789"
_LEAD = (
    r"(?:(?:please|now|then|next|finally|first|also|just|kindly|hey|hello|hi|ok|okay|so|help me|help us|let's|let us"
    r"|i'd like(?: you)?|i (?:want|need)(?: you)?|i would like(?: you)?|(?:can|could|would|will) you|we need"
    r"|you (?:are|will be) (?:an? )?(?:[\w-]+ ){0,5}?(?:that|who|which)|you (?:are|will be) an? (?:[\w-]+ ){0,2}?"
    r"|you (?:must|should|will)|you|your (?:task|job|role|goal) is|the (?:task|goal) is|to) ?){0,4}"
)
_FEW = r"(?:\S+ ){0,5}?"
_MAKE = r"(?:write|create|generate|produce|make|add|give|provide|suggest|propose|prepare|compose|build|code)s? "
_THIS = r"(?:the|this|these|those|that|my|our|all|each|every|following|below|attached|it)\b"
_SPEC = r"(?:specs?|specifications?|requirements?|openapi|swagger|interface|contract|signature|docstring|stub)\b"
_CODE = (
    r"(?:code\w*|functions?|methods?|class\w*|components?|modules?|programs?|scripts?|interfaces?|variables?"
    r"|constants?|helpers?|services?|apps?|application|project|repo\w*|library|package|tests?|site|api"
    r"|regex\w*|sql|migrations?|endpoints?|hooks?|query|queries)\b"
)
# Before a text that is to be written: no word of code, else code is to be written that handles such a text.
_PROSE = rf"(?:(?!{_CODE}|tables?\b)\S+ ){{0,5}}?"
_OF_CODE = rf" (?:{_CODE}|tables?\b)"
_LETTERS = (
    r"(?:e-?mails?|letters?|blog|posts?|tweets?|announcement|newsletter|essay|article|story|poem|speech|reply"
    r"|(?<!commit )message|press release|release notes|invitation)\b"
)

PATTERNS: Mapping[TaskType, str] = {
    "plan": rf"(?:plan|design|architect)s? \w|break {_FEW}down\b"
    rf"|how (?:should|would|do) (?:i|we) (?:go about|approach|structure)\b"
    rf"|(?:{_MAKE}|draft |outline |draw up |come up with ){_FEW}(?:plan|roadmap|architecture|design|strategy)\b",
    "review": rf"(?:review|critique|audit)s? \w|(?:code )?reviewer\b"
    rf"|(?:do |perform |{_MAKE})(?:an? |the )?(?:[\w-]+ )?review\b"
    rf"|(?:find|look for|spot|check) {_FEW}(?:bugs?|problems?|issues?|mistakes?|errors?|vulnerabilit\w+|flaws?)\b",
    "generate-from-spec": rf"implements? {_FEW}{_SPEC}"
    rf"|(?:{_MAKE}|implements? ){_FEW}(?:from|to|per|by|according to|following|based on|given|meets|satisfies)"
    rf" {_FEW}{_SPEC}",
    "unit-tests": rf"{_MAKE}(?!{_FEW}pass){_FEW}(?:tests|test cases?|test suite|unit-?tests?|tests? (?:for|that))\b"
    rf"|unit[- ]?test {_THIS}|cover {_FEW}tests\b",
    "summarize": rf"summari[sz](?:e|es|er|ing)\b|tl;?dr|(?:sum up|condense|recap) {_THIS}"
    rf"|{_MAKE}{_PROSE}(?:summary|summaries|synopsis|tl;?dr)\b(?!{_OF_CODE})",
    "extract": rf"(?:extract(?:s|or)?\b|(?:parses?|pulls? out) {_THIS})(?! ?{_FEW}{_CODE})",
    "convert": rf"(?:convert|transform|reformat|format|turn)s? (?!{_FEW}{_CODE}){_FEW}(?:to|into|as) \w",
    "boilerplate": rf"(?:scaffold|bootstrap)s? \w"
    rf"|{_MAKE}{_FEW}(?:boilerplate|scaffold(?:ing)?|skeleton|getters|setters|dockerfile|makefile)\b",
    "commit-message": r"commit messages? (?:for|generator|writer)\b"
    rf"|{_MAKE}{_PROSE}commit (?:messages?|msg|title|summary)\b(?!{_OF_CODE})",
    "translate": rf"translat(?:e|es|or)\b(?! ?{_FEW}{_CODE})",
    "draft": rf"(?:draft|brainstorm)s? \w|(?:write|compose|word|phrase)s? {_PROSE}{_LETTERS}",
}
"""How a clause begins that asks for work of a type, after words of politeness and the like."""

_TYPES: Mapping[TaskType, re.Pattern[str]] = {
    name: re.compile(f"{_LEAD}(?:{pattern})") for name, pattern in PATTERNS.items()
}
_ANY = re.compile(f"{_LEAD}(?:{'|'.join(PATTERNS.values())})")


def task_type(user: str, system: str = "") -> TaskType | None:
    """Return what kind of work an instruction asks for, None where nothing or more than one thing matches.

    Args:
        user: the last user's text; a document that it carries is hardly looked at.
        system: the system text, which holds the instruction where the user's text is data alone.

    """
    found = {name for clause in _clauses(user, system) for name in _types_of(clause)}
    return found.pop() if len(found) == 1 else None


def _types_of(clause: str) -> Iterator[TaskType]:
    # Most clauses ask for nothing, and one pattern finds that out faster than eleven.
    if _ANY.match(clause):
        yield from (name for name, pattern in _TYPES.items() if pattern.match(clause))


def _clauses(user: str, system: str) -> Iterator[str]:
    """Yield what stands between two ends of a clause, in lower case, without bullets and other markup."""
    places = [user[:HEAD], system[:HEAD]]
    if len(user) > HEAD:
        places.append(user[max(HEAD, len(user) - TAIL) :].rstrip().rpartition("\n")[2])
    for place in places:
        for clause in _CLAUSE_ENDS.split(place.lower()):
            stripped = clause.strip(_MARKUP)
            if stripped:
                yield stripped
