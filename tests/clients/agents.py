"""Coding agents as users run them: how each is pointed at the daemon, started, and what its tools are called."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.scripting import Asked, Call
from tests.router.daemon import ROOT

PROGRAMS = ROOT / ".clients" / "npm" / "node_modules" / ".bin"
CLIENT_KEY = "sk-any-key-will-do"
_NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not exist: an agent that needs any host but the daemon fails."""
_LIMIT_S = 180


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent."""

    name: str
    configure: Callable[[Path, Path, str], Mapping[str, str]]
    """Takes its home, its working folder and the daemon's URL, writes what it reads and returns its environment."""
    command: tuple[str, ...]
    """Program and arguments, before the task."""
    write: Callable[[Asked, Path, str], Call]
    """Returns the call of the tool by which it writes a text into a file."""
    shell: Callable[[str], Call]
    """Returns the call of the tool by which it runs a command."""


def run_agent(agent: Agent, work: Path, url: str, task: str) -> subprocess.CompletedProcess[str]:
    """Give an agent a task in a folder, without anybody to ask, and let it end."""
    home = work.parent / "agent"
    home.mkdir()
    environment = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "HOME": str(home),
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "HTTPS_PROXY": _NOWHERE,
        "HTTP_PROXY": _NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        **agent.configure(home, work, url),
    }
    return subprocess.run(
        [PROGRAMS / agent.command[0], *agent.command[1:], task],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


def _claude_code() -> Agent:
    def configure(home: Path, work: Path, url: str) -> Mapping[str, str]:
        return {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "IS_SANDBOX": "1",  # Root may skip permissions only inside a sandbox.
        }

    return Agent(
        "claude-code",
        configure,
        ("claude", "--model", "claude-opus-5-5", "--dangerously-skip-permissions", "-p"),
        lambda asked, path, text: Call("Write", {"file_path": str(path), "content": text}),
        lambda command: Call("Bash", {"command": command, "description": "Run a command"}),
    )


def _codex() -> Agent:
    def configure(home: Path, work: Path, url: str) -> Mapping[str, str]:
        provider = f'{{ name = "ModelBreeder", base_url = "{url}/v1", wire_api = "responses" }}'
        settings = f'model_provider = "modelbreeder"\nmodel_providers.modelbreeder = {provider}\n'
        (home / ".codex").mkdir()
        (home / ".codex" / "config.toml").write_text(settings, encoding="utf-8")
        return {}

    def write(asked: Asked, path: Path, text: str) -> Call:
        added = "".join(f"+{line}\n" for line in text.splitlines())
        return Call("apply_patch", f"*** Begin Patch\n*** Add File: {path.name}\n{added}*** End Patch\n")

    # A model that Codex knows, so that it offers its free-text tool.
    options = ("--model", "gpt-5.5", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    return Agent(
        "codex",
        configure,
        ("codex", "exec", *options),
        write,
        lambda command: Call("exec_command", {"cmd": command}),
    )


def _opencode(package: str, model: str) -> Agent:
    def configure(home: Path, work: Path, url: str) -> Mapping[str, str]:
        options = {"baseURL": f"{url}/v1", "apiKey": CLIENT_KEY}
        provider = {"npm": package, "options": options, "models": {model: {}}}
        settings = {"provider": {"modelbreeder": provider}, "model": f"modelbreeder/{model}", "autoupdate": False}
        (home / ".config" / "opencode").mkdir(parents=True)
        (home / ".config" / "opencode" / "opencode.json").write_text(json.dumps(settings), encoding="utf-8")
        return {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"}

    def write(asked: Asked, path: Path, text: str) -> Call:
        if "write" in asked.tools:
            return Call("write", {"filePath": str(path), "content": text})
        added = "".join(f"+{line}\n" for line in text.splitlines())
        patch = f"*** Begin Patch\n*** Add File: {path.name}\n{added}*** End Patch"
        return Call("apply_patch", {"patchText": patch})

    return Agent(
        f"opencode {package}",
        configure,
        ("opencode", "run"),
        write,
        lambda command: Call("bash", {"command": command, "description": "Run a command"}),
    )


def _pi(api: str, model: str) -> Agent:
    def configure(home: Path, work: Path, url: str) -> Mapping[str, str]:
        # Anthropic's SDK, which it uses for Messages, adds /v1 itself.
        base = url if api == "anthropic-messages" else f"{url}/v1"
        models = [{"id": model, "reasoning": True}]
        provider = {"baseUrl": base, "api": api, "apiKey": CLIENT_KEY, "models": models}
        (home / ".pi" / "agent").mkdir(parents=True)
        settings = json.dumps({"providers": {"modelbreeder": provider}})
        (home / ".pi" / "agent" / "models.json").write_text(settings, encoding="utf-8")
        return {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}

    return Agent(
        f"pi {api}",
        configure,
        ("pi", "--provider", "modelbreeder", "--model", model, "-p"),
        lambda asked, path, text: Call("write", {"path": str(path), "content": text}),
        lambda command: Call("bash", {"command": command}),
    )


CLAUDE_CODE = _claude_code()
CODEX = _codex()
OPENCODE = _opencode("@ai-sdk/openai-compatible", "gpt-5.4")
OPENCODE_MESSAGES = _opencode("@ai-sdk/anthropic", "claude-opus-5-5")
PI = _pi("openai-completions", "gpt-5.4")
PI_RESPONSES = _pi("openai-responses", "gpt-5.4")
PI_MESSAGES = _pi("anthropic-messages", "claude-opus-5-5")
