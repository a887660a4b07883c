from __future__ import annotations

import json
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from registry.entities import TaskEnvelope
from registry.settings import PolicySettings, Settings, load_settings
from router.cli import add_commands
from router.cli.frame import new_app, run
from router.conditions import FEATURES
from router.detecting import clouds_in, servers_on_loopback
from router.first_config import first_config
from router.policy import compile_policy
from router.policy_notes import FEATURE_NOTES, OWN_RULES, file_notes, rule_notes

SECRET = "sk-proj-not-to-be-written"
TAGS = {"models": [{"name": "gpt-oss:120b-cloud"}, {"name": "qwen3:8b"}]}


@contextmanager
def server(answers: Mapping[str, Any]) -> Iterator[int]:
    """Give the port of a server that answers these paths, and 404 to all others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd.server_port
        httpd.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> Iterator[int]:
    """Give a port at which nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_each_built_in_rule_is_in_the_notes_in_its_order_with_keys_that_there_are() -> None:
    notes = rule_notes()

    assert [note.name for note in notes if note.name != OWN_RULES] == [r.name for r in compile_policy(PolicySettings())]
    assert [note.name for note in notes if not note.what] == []
    assert {key for note in notes for key in note.keys} <= set(PolicySettings.model_fields)


def test_each_feature_of_a_task_is_explained() -> None:
    assert list(FEATURES) == list(get_type_hints(TaskEnvelope))
    assert [name for name in FEATURES if name not in FEATURE_NOTES] == []


def test_the_rules_stand_numbered_in_the_policy_section_and_the_features_by_the_rules() -> None:
    text = first_config([], [])
    numbered = [text.index(f"#   {number}. {note.name}: ") for number, note in enumerate(rule_notes(), 1)]

    assert numbered == sorted(numbered)
    assert numbered[-1] < text.index("\n[policy]\n")
    assert text.index("#   multimodal ") < text.index("#[[policy.rules]]")
    assert set(file_notes()) == {"policy", "policy.rules"}


def test_vendors_are_found_by_the_names_of_their_keys_and_no_key_is_written() -> None:
    clouds, left_out = clouds_in({"OPENAI_API_KEY": SECRET, "ANTHROPIC_API_KEY": SECRET})
    text = first_config(clouds, [])
    settings = Settings(**tomllib.loads(text))

    assert left_out == []
    assert settings.policy.cloud == "openai/gpt-5.4"
    assert settings.upstreams["openai"].base_url == "https://api.openai.com/v1"
    assert settings.upstreams["openai"].api_key_env == "OPENAI_API_KEY"
    assert settings.upstreams["anthropic"].dialect == "anthropic"
    assert SECRET not in text
    assert settings == Settings(upstreams=settings.upstreams, policy=PolicySettings(cloud="openai/gpt-5.4"))


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://gateway.example/v1", "https://gateway.example/v1"),
        ("http://127.0.0.1:8484/v1", "https://api.openai.com/v1"),
        ("http://localhost:8484/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:9000/v1", "http://127.0.0.1:9000/v1"),
        (" ", "https://api.openai.com/v1"),
    ],
)
def test_a_key_is_bound_to_the_server_that_it_is_for_which_is_never_the_daemon(url: str, written: str) -> None:
    clouds, _ = clouds_in({"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": url})

    assert clouds[0].row["base_url"] == written


@pytest.mark.parametrize("url", ["https://me:secret@gateway.example/v1", "http://[", "gateway"])
def test_a_key_for_a_server_that_cannot_be_asked_is_left_out_with_a_word(url: str) -> None:
    clouds, left_out = clouds_in({"OPENAI_API_KEY": SECRET, "OPENAI_BASE_URL": url})

    assert clouds == []
    assert "OPENAI_BASE_URL" in left_out[0]
    assert "secret" not in left_out[0]


def test_ollama_is_found_with_its_models_and_can_be_made_the_base(nobody: int) -> None:
    with server({"/api/tags": TAGS}) as port:
        servers = servers_on_loopback(port, nobody)
    text = first_config([], servers)
    settings = Settings(**tomllib.loads(text))

    assert settings.upstreams["ollama"].trust == "private"
    assert settings.upstreams["ollama"].models == ("gpt-oss:120b-cloud", "qwen3:8b")
    assert settings.upstreams["ollama"].base_url == f"http://127.0.0.1:{port}/v1"
    assert settings.policy.cloud is None
    assert 'runtime = "ollama" and base = "qwen3:8b", and upstreams.ollama.context' in " ".join(text.split("\n# "))


def test_llama_server_is_found_with_its_context(nobody: int) -> None:
    told = {"/props": {"default_generation_settings": {"n_ctx": 8192}}, "/v1/models": {"data": [{"id": "qwen"}]}}
    with server(told) as port:
        found = servers_on_loopback(nobody, port)[0]

    assert (found.name, found.row["context"], found.row["models"]) == ("llama-server", 8192, ["qwen"])


@pytest.mark.parametrize("answers", [{}, {"/api/tags": []}, {"/api/tags": {"models": 1}}, {"/props": {"a": 1}}])
def test_another_server_on_the_usual_port_is_not_taken_for_one(answers: dict[str, Any]) -> None:
    with server(answers) as port:
        assert servers_on_loopback(port, port) == []


def test_a_port_that_accepts_and_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert servers_on_loopback(mute.getsockname()[1], mute.getsockname()[1]) == []


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    app = new_app("The router.")
    add_commands(app)

    def calling(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(app, ["--home", str(tmp_path / "home"), *arguments])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return calling


def test_init_writes_a_file_that_loads_and_says_what_is_next(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    file = tmp_path / "home" / "modelbreeder.toml"
    code, out, _ = call("init")
    again, _, refused = call("init")
    file.write_text("# mine")
    forced = call("init", "--force")[0]

    assert (code, again, forced) == (0, 4, 0)
    assert "--force" in refused
    assert "environment variable OPENAI_API_KEY" in out
    assert "modelbreeder serve" in out
    assert load_settings(file).policy.cloud == "openai/gpt-5.4"
    assert file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in out + file.read_text()
