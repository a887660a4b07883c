"""Secrets and personal data in every place of the traffic, and nothing of them in any file or line that stays.

The real daemon, started with umask 0 in a home that others could read, is asked on all surfaces, fails, is told off,
has a bug, and is killed; then each byte below the home, the temporary folders and what all processes said is searched.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.leaks.planting import ALNUM, some
from tests.leaks.searching import leaks_below, leaks_in
from tests.router.daemon import KEY, Daemon, daemon, environment, get, post, run_command, write_config
from tests.router.making import answered, delta, sse
from tests.router.raw_upstream import Step, answers, ends, hangs, says, streams

BROKEN = """
import sys
from router import turn
from router.cli import main
from router.exchange import Incoming

def broken(*given):
    (incoming,) = (one for one in given if isinstance(one, Incoming))
    raise ValueError(f"cannot route {incoming!r} of {incoming.request.body!r}")

turn.inspected = broken
main()
"""
"""A daemon with a bug that quotes all that it was asked."""
ASKING = """
import sys
from urllib.request import Request, urlopen

headers = {"content-type": "application/json", "x-api-key": sys.argv[2]}
urlopen(Request(sys.argv[1], sys.stdin.buffer.read(), headers)).read(1)
print("begun", flush=True)
sys.stdin.read()
"""
"""A client that tells when it has heard the first of an answer."""


@dataclass
class Garden:
    """Makes values, each for one place, and texts in which they are plain to see."""

    random: Random = field(default_factory=lambda: Random(5))
    planted: dict[str, str] = field(default_factory=dict)

    def key(self, place: str) -> str:
        """Return a vendor's key."""
        self.planted[place] = f"ghp_{some(self.random, ALNUM, 36)}"
        return self.planted[place]

    def text(self, place: str) -> str:
        """Return a sentence with a key and a mail address."""
        mail = f"{some(self.random, ALNUM, 14)}@{some(self.random, ALNUM, 9)}.io".lower()
        self.planted[f"{place}, the address"] = mail
        return f"Tell {mail} that the token is {self.key(place)} now."


@dataclass
class Scene:
    """A home, what was planted there, and what its processes said."""

    root: Path
    upstream: ScriptedUpstream
    garden: Garden = field(default_factory=Garden)
    said: list[str] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    client: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def places(self) -> dict[str, str]:
        """Folders of our own for all that processes write elsewhere."""
        found = {"TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run", "HOME": "user", "XDG_CACHE_HOME": "cache"}
        return {name: str(self.root / folder) for name, folder in found.items()}

    def follows(self, *script: Step) -> None:
        """Let the upstream do something else, and keep what it was asked before."""
        self.asked += [one.body + json.dumps(one.headers).encode() for one in self.upstream.requests]
        self.upstream.follows(*script)

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """Give a daemon, and keep what it says."""
        with daemon(self.home, **self.places) as child:
            assert child.url, child.lines
            try:
                yield child
            finally:
                child.stop(signal.SIGKILL)
                self.said += child.lines

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run a command, keep what it complains of, and return what it prints."""
        done = run_command(self.home, *arguments, stdin=stdin, env=environment(**self.places))
        self.said.append(done.stderr)
        return done.stdout

    def chat(self, place: str, **more: Any) -> dict[str, Any]:
        """Return a chat with a value in every place that has text."""
        text = self.garden.text
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "send", "arguments": json.dumps({"to": text(f"{place}, argument")})},
        }
        tool = {
            "type": "function",
            "function": {"name": "send", "description": text(f"{place}, tool"), "parameters": {"type": "object"}},
        }
        messages = [
            {"role": "system", "content": text(f"{place}, system")},
            {"role": "user", "content": [{"type": "text", "text": text(f"{place}, part")}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": text(f"{place}, result")},
            {"role": "user", "content": text(f"{place}, prompt")},
        ]
        metadata = {"note": text(f"{place}, metadata")}
        return {"model": "gpt-5.4", "messages": messages, "tools": [tool], "metadata": metadata, **more}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give the scene after all of it."""
    with scripted_upstream() as upstream:
        scene = Scene(tmp_path_factory.mktemp("scene"), upstream)
        write_config(scene.home, upstream.url, upstream="attempts = 1")
        for folder in scene.places.values():
            Path(folder).mkdir()
        umask = os.umask(0)
        try:
            play(scene)
        finally:
            os.umask(umask)
        yield scene


def play(scene: Scene) -> None:
    """Let everything happen."""
    (scene.home / "data" / "artifacts" / "ab").mkdir(parents=True)
    (scene.home / "data" / "artifacts" / "ab" / "old").write_text("made by an earlier version")
    token = scene.command("token", "add", "editor").strip()
    scene.client = {"x-api-key": token}
    scene.garden.planted |= {"client's token": token, "vendor's key": KEY}
    with scene.running() as child:
        scene.garden.planted["admin's token"] = child.admin["Authorization"].removeprefix("Bearer ")
        answer(scene, child.url)
        refuse(scene, child.url)
        judge(scene, child)
        die(scene, child)
    commands(scene)
    break_down(scene)
    scene.command("ledger", "verify")


def answer(scene: Scene, url: str) -> None:
    """Ask on each surface, whole and streamed; what the cloud says has values of its own."""
    said = scene.garden.text
    scene.follows(answers(said("answer")))
    assert post(f"{url}/v1/chat/completions", scene.chat("chat"), scene.client)[0] == 200
    scene.follows(streams(pieces=sse(*[delta(piece) for piece in cut(said("stream"))], delta(finish="stop"))))
    assert post(f"{url}/v1/chat/completions", scene.chat("streamed", stream=True), scene.client)[0] == 200
    calls = [
        {"id": "c9", "type": "function", "function": {"name": "send", "arguments": json.dumps({"to": said("call")})}}
    ]
    whole = json.loads(answered("x"))
    whole["choices"][0] |= {
        "message": {"role": "assistant", "content": None, "tool_calls": calls},
        "finish_reason": "tool_calls",
    }
    scene.follows(says(200, json.dumps(whole).encode(), content_type="application/json"))
    assert post(f"{url}/v1/chat/completions", scene.chat("calling"), scene.client)[0] == 200
    scene.follows(answers(said("answers of other surfaces")))
    responses = {"model": "gpt-5.4", "instructions": said("instructions"), "input": said("input")}
    assert post(f"{url}/v1/responses", responses, scene.client)[0] == 200
    messages = {"model": "gpt-5.4", "max_tokens": 9, "system": said("messages, system")}
    messages["messages"] = [{"role": "user", "content": said("messages, prompt")}]
    assert post(f"{url}/v1/messages", messages, scene.client)[0] == 200
    assert post(f"{url}/v1/messages/count_tokens", messages, scene.client)[0] == 200
    post(f"{url}/v1/embeddings", {"model": "gpt-5.4", "input": [said("embedded")]}, scene.client)
    post(f"{url}/v1/completions", {"model": "gpt-5.4", "prompt": said("completed")}, scene.client)
    post(f"{url}/v1/route/explain", scene.chat("explained"), scene.client)


def cut(text: str) -> list[str]:
    """Return a text in parts of three characters."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def refuse(scene: Scene, url: str) -> None:
    """Let upstreams complain in many ways, and ask what cannot be read."""
    garden, chat = scene.garden, f"{url}/v1/chat/completions"
    for status in (400, 401, 404, 429, 500):
        error = {
            "error": {
                "message": garden.text(f"error {status}"),
                "type": garden.key(f"type {status}"),
                "code": garden.key(f"code {status}"),
            }
        }
        scene.follows(says(status, json.dumps(error).encode(), content_type="application/json"))
        assert post(chat, scene.chat(f"failing {status}"), scene.client)[0] >= 400
    for place, body in (("page", "<html>{}</html>"), ("half", '{{"id": "{}"'), ("list", '["{}"]')):
        scene.follows(says(200, body.format(garden.text(place)).encode(), content_type="application/json"))
        post(chat, scene.chat(f"of a {place}"), scene.client)
    scene.follows(streams(ends, pieces=sse(delta(garden.text("cut off")))))
    with suppress(OSError):
        post(chat, scene.chat("cut", stream=True), scene.client)
    scene.follows(answers())
    for hint in ("session", "task-id", "workflow", "data-class", "lane", "nosuch"):
        post(chat, scene.chat(f"hinted {hint}"), {**scene.client, f"x-modelbreeder-{hint}": garden.key(f"hint {hint}")})
        post(
            chat,
            scene.chat(f"metadata {hint}", metadata={hint: garden.key(f"metadata {hint}, the value")}),
            scene.client,
        )
    post(
        chat,
        scene.chat("with headers"),
        {**scene.client, "x-other": garden.key("header"), "user-agent": garden.key("agent")},
    )
    post(chat, scene.chat("of a stranger"), {"authorization": f"Bearer {garden.key('wrong token')}"})
    post(chat, f'{{"model": "{garden.key("broken")}", '.encode(), scene.client)
    post(chat, scene.chat("of no model", model=garden.key("model")), scene.client)
    post(
        chat,
        scene.chat("of no role", messages=[{"role": garden.key("role"), "content": garden.key("of no role")}]),
        scene.client,
    )
    post(f"{chat}?key={garden.key('query')}", scene.chat("queried"), scene.client)
    get(f"{url}/v1/{garden.key('path')}", scene.client)
    get(f"{url}/v1/models/{garden.key('model asked for')}", scene.client)


def judge(scene: Scene, child: Daemon) -> None:
    """Give verdicts with words of a user's own."""
    scene.follows(answers())
    _, headers, _ = post(f"{child.url}/v1/chat/completions", scene.chat("judged"), scene.client)
    name, said = headers["x-modelbreeder-interaction"], scene.garden.text
    for verdict in (
        {"verdict": "corrected", "corrected": said("correction"), "comment": said("comment")},
        {"verdict": scene.garden.key("verdict")},
        {"verdict": "accepted", scene.garden.key("field"): 1},
    ):
        post(f"{child.url}/v1/feedback", {"interaction": name, **verdict}, scene.client)
    post(f"{child.url}/v1/feedback", {"interaction": scene.garden.key("id"), "verdict": "accepted"}, scene.client)


def die(scene: Scene, child: Daemon) -> None:
    """Kill the daemon while the cloud speaks."""
    scene.follows(streams(hangs, pieces=sse(delta(scene.garden.text("never ended")))))
    body = json.dumps(scene.chat("never answered", stream=True)).encode()
    asking = [sys.executable, "-c", ASKING]
    with subprocess.Popen(
        [*asking, f"{child.url}/v1/chat/completions", scene.client["x-api-key"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(body)
        client.stdin.close()
        assert client.stdout.readline() == b"begun\n"
        assert child.process.poll() is None
        child.stop(signal.SIGKILL)
        client.kill()


def commands(scene: Scene) -> None:
    """Use what is not the daemon; only what is printed of the record is kept, as an answer has its values again."""
    scene.follows(answers(scene.garden.text("answer to a command")))
    task = scene.root / "task.txt"
    task.write_text(scene.garden.text("command"))
    scene.command("run", str(task), "--workflow", "greet")
    scene.said += [
        scene.command("explain", str(task)),
        scene.command("redact", str(task)),
        scene.command("ledger", "ls", "--json"),
    ]
    scene.follows(says(500, scene.garden.text("error to a command").encode()))
    scene.command("run", str(task))
    task.unlink()


def break_down(scene: Scene) -> None:
    """Ask a daemon with a bug, and run a command with it."""
    env = environment(**scene.places)
    arguments = [sys.executable, "-P", "-c", BROKEN, "--home", str(scene.home)]
    with subprocess.Popen(
        [*arguments, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    ) as broken:
        assert broken.stdout is not None
        lines: list[str] = []
        for line in broken.stdout:
            lines.append(line)
            if "listening on" in line:
                break
        url = lines[-1].split("listening on ")[1].split()[0]
        status, _, said = post(f"{url}/v1/chat/completions", scene.chat("of a bug"), scene.client)
        assert status == 500
        scene.said.append(said.decode())
        broken.terminate()
        lines += broken.stdout
    scene.said += lines
    assert "error=ValueError" in "".join(lines)
    task = scene.root / "task.txt"
    task.write_text(scene.garden.text("command with a bug"))
    done = subprocess.run([*arguments, "run", str(task)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    assert "ValueError" in done.stderr
    scene.said += [done.stdout, done.stderr]
    task.unlink()


def test_no_planted_value_is_in_any_file(played: Scene) -> None:
    secret = {place: value for place, value in played.garden.planted.items() if place != "admin's token"}
    assert leaks_below(played.root, secret) == []
    assert len(secret) > 150


def test_no_process_said_a_planted_value(played: Scene) -> None:
    assert leaks_in("\n".join(played.said).encode(), played.garden.planted) == []


def test_the_upstream_was_told_none_either(played: Scene) -> None:
    played.follows(answers())
    secret = {place: value for place, value in played.garden.planted.items() if place != "vendor's key"}
    assert leaks_in(b"\n".join(played.asked), secret) == []
    assert len(played.asked) > 25


def test_all_that_was_written_is_its_owners_alone(played: Scene) -> None:
    wide = [
        f"{path.relative_to(played.root)} {stat.filemode(path.lstat().st_mode)}"
        for top in (played.home / "modelbreeder.toml", played.home / "data", played.root / "run")
        for path in (top, *top.rglob("*"))
        if path.lstat().st_mode & 0o077 and path != played.root / "run"
    ]
    assert wide == []
    assert (played.home / "data" / "runs").glob("*.json")


def test_that_a_home_was_open_to_others_was_said_once_in_one_line(played: Scene) -> None:
    lines = [line for line in "\n".join(played.said).splitlines() if "could be read by others" in line]
    assert len(lines) == 1
