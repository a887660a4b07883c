"""A daemon in front of a scripted upstream, and what must hold after any client has worked with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.scripted import KEY, Scripted, scripted_upstream
from tests.router.daemon import Daemon, daemon, run_command

MODEL = "gpt-5.4"
CHAT, RESPONSES, MESSAGES, LOCAL = "chat", "responses", "messages", "local"
KINDS = {
    CHAT: 'dialect = "openai"',
    RESPONSES: 'dialect = "openai"\nresponses = true',
    MESSAGES: 'dialect = "anthropic"',
    LOCAL: 'dialect = "vllm"\ntrust = "private"\ncontext = 200000\ntools = true\nvision = true',
}
"""What an upstream speaks: chat only, chat and Responses, Messages; or chat only, and it is the user's own machine."""
_CONFIG = """
[policy]
{cloud}
[upstreams.vendor]
{kind}
base_url = "{url}"
models = ["{model}"]
api_key_env = "TEST_VENDOR_KEY"
usd_per_million_input = 2.0
usd_per_million_output = 10.0
{local}
"""
_GENERATING = ("/chat/completions", "/completions", "/messages", "/responses", "/embeddings")


@dataclass(frozen=True, slots=True)
class Stage:
    """One upstream and one daemon."""

    upstream: Scripted
    daemon: Daemon
    home: Path

    @property
    def url(self) -> str:
        """Where clients find the daemon, without /v1."""
        return self.daemon.url

    def rows(self) -> list[dict[str, Any]]:
        """Return the ledger's rows, newest first."""
        listed = run_command(self.home, "ledger", "ls", "--json", "--limit", "1000")
        assert listed.returncode == 0, listed.stderr
        return json.loads(listed.stdout)

    def keeps(self, text: str) -> bool:
        """Say whether any file of the daemon's home, the ledger among them, has a text in clear."""
        return any(text.encode() in path.read_bytes() for path in self.home.rglob("*") if path.is_file())

    def report(self) -> str:
        """Return what happened, for the message of a failed test."""
        asked = [f"{one.path} {sorted(one.tools)} {one.turns[-1:]}" for one in self.upstream.asked]
        return "\n".join(["", "asked:", *asked, "refused:", *self.upstream.refused, "log:", *self.daemon.lines])

    def is_clean(self) -> None:
        """Assert that the upstream took all it was sent, that each request has one whole row, and that all is well."""
        assert self.upstream.refused == []
        rows = self.rows()
        assert {row["status"] for row in rows} <= {"ok"}
        sent = [one for one in self.upstream.asked if one.path in _GENERATING]
        assert len(rows) == len({row["interaction"] for row in rows}) == len(sent)
        wrong = [line for line in self.daemon.lines if re.search(r"\b(warning|error|critical)\b|Traceback", line)]
        assert wrong == []


@contextmanager
def stage(root: Path, kind: str) -> Iterator[Stage]:
    """Give a daemon in front of an upstream of one of KINDS."""
    home = root / "home"
    home.mkdir(mode=0o700)
    is_local = kind == LOCAL
    with scripted_upstream() as upstream:
        config = _CONFIG.format(
            cloud="" if is_local else f'cloud = "vendor/{MODEL}"',
            kind=KINDS[kind],
            url=upstream.url,
            model=MODEL,
            local=f'[local]\nruntime = "vendor"\nbase = "{MODEL}"' if is_local else "",
        )
        file = home / "modelbreeder.toml"
        file.write_text(config, encoding="utf-8")
        file.chmod(0o600)
        with daemon(home, TEST_VENDOR_KEY=KEY) as running:
            yield Stage(upstream, running, home)
