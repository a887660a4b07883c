from pathlib import Path
from typing import Any, Literal

import pytest

from registry.errors import ConfigError
from registry.settings import UpstreamSettings, is_private, load_settings

GOOD = """
[upstreams.openai]
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"

[policy]
cloud = "openai/gpt-5.4"

[[policy.rules]]
name = "big"
when = { estimated_tokens = "> 9000" }
lane = "cloud_escalation"
"""

MINE = "[upstreams.mine]\nbase_url = 'http://127.0.0.1:1/v1'\ntrust = 'private'"
SIZED = f"{MINE}\ncontext = 8192"


@pytest.mark.parametrize(
    ("trust", "model", "private"),
    [
        ("private", "qwen3:8b", True),
        ("private", "cloud", True),
        ("private", "cloudy:8b", True),
        ("private", "gpt-oss:120b-cloud", False),
        ("private", "glm-4.6:CLOUD ", False),
        ("cloud", "qwen3:8b", False),
    ],
)
def test_a_private_upstreams_model_is_private_but_for_those_that_ollamas_cloud_runs(
    trust: Literal["cloud", "private"], model: str, private: bool
):
    assert is_private(UpstreamSettings(base_url="http://127.0.0.1:1/v1", trust=trust), model) is private


def load(folder: Path, text: str):
    file = folder / "modelbreeder.toml"
    file.write_text(text)
    return load_settings(file)


def test_a_missing_file_means_the_defaults(tmp_path: Path):
    settings = load_settings(tmp_path / "none.toml")
    assert (settings.daemon.host, settings.daemon.port, settings.policy.cloud) == ("127.0.0.1", 8484, None)


def test_a_whole_file_is_read(tmp_path: Path):
    settings = load(tmp_path, GOOD)
    assert settings.upstreams["openai"].api_key_env == "OPENAI_API_KEY"
    assert settings.policy.rules[0].when == {"estimated_tokens": "> 9000"}


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MODELBREEDER_DAEMON__PORT", "9999")
    monkeypatch.setenv("MODELBREEDER_HOME", str(tmp_path))
    monkeypatch.setenv("MODELBREEDER_DATA", str(tmp_path))
    assert load(tmp_path, "[daemon]\nport = 1").daemon.port == 9999


def test_the_base_is_bred_from_with_the_embedded_engine_and_asked_with_a_private_upstream(tmp_path: Path):
    embedded = load(tmp_path, "[local]\nbase = 'org/model'").local
    general = load(tmp_path, f"[local]\nruntime = 'mine'\nbase = 'qwen3:8b'\n{MINE}\ncontext = 8192\ntools = true")

    assert (embedded.general_upstream, embedded.breeding_base) == (None, "org/model")
    assert (general.local.general_upstream, general.local.base) == ("mine", "qwen3:8b")
    assert general.local.breeding_base == "seedling"
    assert (general.upstreams["mine"].context, general.upstreams["mine"].tools) == (8192, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[daemon]\nprot = 1", "unknown key 'daemon.prot'; did you mean 'port'?"),
        ("[upstreams.a]\nbase_url = 'x'\nkey = 'y'", "unknown key 'upstreams.a.key'; known keys: api_key_env"),
        ("[upstreams.a]\nbase_ur = 'x'", "unknown key 'upstreams.a.base_ur'; did you mean 'base_url'?"),
        ("[upstreams.a]\nmodels = ['m']", "upstreams.a.base_url is missing; add it"),
        ("[upstreams.a]\nbase_url = 'http://h'\ndialect = 'antropic'", "did you mean 'anthropic'?"),
        ("[upstreams.a]\nbase_url = 'http://h'\nattempts = 0", "upstreams.a.attempts must be at least 1; it is 0"),
        ("[upstreams.a]\nbase_url = 'api.openai.com/v1'", "upstreams.a.base_url: it must be http:// or https:// and a"),
        ("[upstreams.a]\nbase_url = 'ftp://h/v1'", "upstreams.a.base_url: it must be http:// or https:// and a host"),
        ("[upstreams.a]\nbase_url = 'https:///v1'", "upstreams.a.base_url: it must be http:// or https:// and a host"),
        ("[upstreams.a]\nbase_url = 'http://h:port'", "upstreams.a.base_url: its host or port is none; write"),
        ("[upstreams.a]\nbase_url = 'http://h:0'", "upstreams.a.base_url: port 0 is no port"),
        ("[upstreams.a]\nbase_url = 'http://[h'", "upstreams.a.base_url: its host or port is none; write"),
        ("[upstreams.a]\nbase_url = 'https://h/v1?key=k'", "upstreams.a.base_url: it must end before any ? or #"),
        ("[upstreams.a]\nbase_url = 'https://u:secret@h'", "name the variable that holds the key in api_key_env"),
        ("[deamon]", "unknown key 'deamon'; did you mean 'daemon'?"),
        (
            "[[policy.rules]]\nname='a'\nlane='no_op'\nwhen={}\nlanes=1",
            "unknown key 'lanes' of policy.rules 'a'; did you mean 'lane'?",
        ),
        ("[daemon]\nport = 'x'", "daemon.port must be a whole number; it is 'x'"),
        (
            "[policy]\ncloud = 'a/b'",
            "policy.cloud 'a/b' names upstream 'a', which is not configured; add [upstreams.a]",
        ),
        (
            f"[policy]\nfallbacks = ['mine/l', 'b/c']\n{MINE}",
            "policy.fallbacks 'b/c' names upstream 'b', which is not configured; add",
        ),
        (
            f"[policy]\nfallbacks = ['mine']\n{MINE}",
            "policy.fallbacks 'mine' is not UPSTREAM/MODEL, as in openai/gpt-5.4; upstreams: mine",
        ),
        (
            f"[policy]\ncontent_policy_fallbacks = ['b/c']\n{MINE}",
            "policy.content_policy_fallbacks 'b/c' names upstream",
        ),
        ("[policy]\nfallback = ['b/c']", "unknown key 'policy.fallback'; did you mean 'fallbacks'?"),
        ("[policy\n", "is not valid TOML"),
        ("[policy]\nlocal_task_types = ['sumarize']", "policy.local_task_types number 1 must be 'plan', 'review'"),
        ("[policy]\neither_task_types = ['sumarize']", "it is 'sumarize'; did you mean 'summarize'?"),
        ("[policy]\nchoose = 'cheepest'", "did you mean 'cheapest'?"),
        ("[policy.budget]\nday_used = 1", "unknown key 'policy.budget.day_used'; did you mean 'day_usd'?"),
        ("[policy]\nbudget = { day_usd = -1 }", "policy.budget.day_usd"),
        ("[policy]\nmax_local_tokens = 0", "policy.max_local_tokens must be at least 1"),
        (
            "[local]\nruntime = 'olama'\nbase = 'q'\n" + MINE,
            "local.runtime 'olama' is no upstream; write 'embedded' or one whose trust is private: mine",
        ),
        (
            "[local]\nruntime = 'a'\nbase = 'q'\n[upstreams.a]\nbase_url = 'http://h'",
            "local.runtime 'a' is no private upstream; write 'embedded' or one whose trust is private: none",
        ),
        ("[local]\nruntime = 'mine'\n" + MINE, "local.base 'seedling' must be a model of upstream 'mine'"),
        (
            "[local]\nruntime = 'mine'\nbase = 'q'\n" + MINE + "\nmodels = ['r', 's']",
            "local.base 'q' must be a model of upstream 'mine'; listed are r, s",
        ),
        (
            "[local]\nruntime = 'mine'\nbase = 'q'\n" + MINE,
            "upstreams.mine.context must be set, as local.runtime names it; write the tokens of context of 'q'",
        ),
        ("[local]\nruntime = 'mine'\nbase = 'gpt-oss:120b-cloud'\n" + SIZED, "is run by Ollama's cloud"),
        ("[local]\nruntime = 'mine'\nbase = 'glm-4.6:Cloud'\n" + SIZED, "is run by Ollama's cloud"),
        ("[upstreams.embedded]\nbase_url = 'http://h'", "upstreams.embedded has the name of the embedded engine"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_key_and_next_step(tmp_path: Path, text: str, told: str):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert told in str(caught.value)
    assert "modelbreeder.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("dialect", "written", "asked"),
    [
        ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("openai", " https://api.openai.com/v1// ", "https://api.openai.com/v1"),
        ("openai", "https://api.perplexity.test", "https://api.perplexity.test"),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("anthropic", "https://api.anthropic.com/v1", "https://api.anthropic.com/v1"),
        ("ollama", "http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("ollama", "http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
        ("ollama", "http://[::1]:11434/behind", "http://[::1]:11434/behind/v1"),
        ("llama-server", "http://gpu-box:8080", "http://gpu-box:8080/v1"),
        ("vllm", "https://gpu-box/v1beta1", "https://gpu-box/v1beta1"),
    ],
)
def test_a_base_url_ends_in_its_version(dialect: Any, written: str, asked: str):
    assert UpstreamSettings(dialect=dialect, base_url=written).base_url == asked


CHAT, RESPONSES, MESSAGES = "openai.chat", "openai.responses", "anthropic.messages"
TEXT, VECTORS = "openai.completions", "openai.embeddings"


@pytest.mark.parametrize(
    ("upstream", "surfaces"),
    [
        ({"base_url": "https://api.openai.com/v1"}, {CHAT: CHAT, RESPONSES: RESPONSES, MESSAGES: CHAT}),
        ({"base_url": "https://API.OpenAI.com/v1"}, {RESPONSES: RESPONSES}),
        ({"base_url": "https://api.openai.com/v1", "responses": False}, {RESPONSES: CHAT}),
        ({"base_url": "https://api.openai.com.evil.test/v1"}, {RESPONSES: CHAT}),
        ({"base_url": "https://compatible.test/v1"}, {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: CHAT}),
        ({"base_url": "https://compatible.test/v1", "responses": True}, {RESPONSES: RESPONSES, MESSAGES: CHAT}),
        ({"dialect": "anthropic"}, {CHAT: MESSAGES, RESPONSES: MESSAGES, MESSAGES: MESSAGES}),
        ({"dialect": "anthropic"}, {TEXT: MESSAGES}),
        ({"base_url": "https://compatible.test/v1"}, {TEXT: TEXT, VECTORS: VECTORS}),
        ({"dialect": "llama-server"}, {TEXT: TEXT, VECTORS: VECTORS}),
        ({"dialect": "ollama"}, {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: CHAT}),
        ({"dialect": "llama-server"}, {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: CHAT}),
        ({"dialect": "vllm"}, {CHAT: CHAT, RESPONSES: CHAT, MESSAGES: CHAT}),
    ],
)
def test_an_upstream_is_asked_in_its_own_wire_format(upstream: dict[str, Any], surfaces: dict[str, str]):
    made = UpstreamSettings(**{"base_url": "http://127.0.0.1:9", **upstream})

    assert {client: made.surface_for(client) for client in surfaces} == surfaces
