"""Starting the daemon: what it imports, what it refuses, and what it says."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.errors import ConfigError
from registry.settings import DaemonSettings, UpstreamSettings
from router.deps import proxy_for
from router.listening import bind
from tests.router.daemon import ask, daemon, environment, get, post, run_command, write_config

HEAVY = ("torch", "transformers", "sklearn", "mlflow", "breeder", "peft", "datasets", "llama_cpp")
_PROBE = """
import asyncio, os, sys
from pathlib import Path
from registry.home import Home
from registry.settings import load_settings
from router.admission import InFlight
from router.app import make_app
from router.deps import open_deps, real_outside
import router.cli, router.serve

async def start():
    home = Home.at(Path(sys.argv[1]))
    settings = load_settings(home.config_file)
    async with open_deps(home, settings, real_outside(settings, os.environ)) as deps:
        make_app(deps, InFlight(1))

asyncio.run(start())
print(",".join(sorted(name for name in sys.modules if "." not in name)))
"""


def test_the_daemon_starts_without_anything_heavy(tmp_path: Path) -> None:
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    probe = subprocess.run(
        [sys.executable, "-P", "-c", _PROBE, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    loaded = set(probe.stdout.strip().split(","))

    assert probe.returncode == 0, probe.stderr
    assert "router" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_taken_port_is_one_line_and_exit_code_4(tmp_path: Path) -> None:
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_command(tmp_path, "serve", "--port", str(port))

    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert f"port {port}" in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ConfigError, match=host):
        bind(DaemonSettings(host=host, port=0))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[daemon]\nhost = '0.0.0.0'\n", "loopback"),
        ("[polcy]\ncloud = 'x'\n", "polcy"),
        ("[[policy.rules]]\nname='r'\nlane='no_op'\nwhen={changed_fles='> 8'}\n", "changed_fles"),
        ("[redaction.rules]\nCUSTOMER = '('\n", "CUSTOMER"),
        ("[policy]\nhold = 'all'\n", "policy.hold must be 'none' or 'answer' or a whole number; it is 'all'"),
        ("[[policy.verify]]\nname='v'\ncommand=['no-such-program']\n", "'v': its program 'no-such-program'"),
        ("[daemon\n", "TOML"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path, config: str, said: str) -> None:
    file = tmp_path / "modelbreeder.toml"
    file.write_text(config, encoding="utf-8")
    file.chmod(0o600)
    ended = run_command(tmp_path, "serve", "--port", "0")

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert str(tmp_path / "modelbreeder.toml") in ended.stderr or "loopback" in said


def test_a_rule_that_never_decides_is_said_at_the_start_and_served_with(tmp_path: Path) -> None:
    rule = "[[policy.rules]]\nname = '{}'\nlane = 'cloud_escalation'\nwhen = {{ changed_files = '{}' }}\n"
    write_config(tmp_path, "http://127.0.0.1:9/v1", more=rule.format("a", "> 3") + rule.format("b", "> 4"))
    with daemon(tmp_path) as router:
        said = [line for line in router.lines if "is in force, but" in line]
        doubts = json.loads(get(f"{router.url}/readyz", router.admin)[2])["policy"]["doubts"]

    why = "it can never decide: rule 'a' before it has the same or wider conditions"
    assert doubts == [f"rule 'b': {why}"]
    assert said == [f"{tmp_path / 'modelbreeder.toml'} is in force, but rule 'b': {why}"]


def test_an_upstream_that_is_the_daemon_itself_is_refused(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    write_config(tmp_path, f"http://localhost:{port}/v1")
    ended = run_command(tmp_path, "serve", "--port", str(port))

    assert ended.returncode == 2
    assert "itself" in ended.stderr


def test_a_missing_key_is_said_at_once_and_answered_with_502(tmp_path: Path) -> None:
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    with daemon(tmp_path, TEST_VENDOR_KEY="") as router:
        status, _, body = post(f"{router.url}/v1/chat/completions", ask("x"))

        assert "TEST_VENDOR_KEY" in router.lines[0]
        assert "listening" in router.lines[1]
    assert status == 502
    assert b"TEST_VENDOR_KEY" in body


def test_an_upstream_that_cannot_be_reached_is_502(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_config(tmp_path, f"http://127.0.0.1:{port}/v1")
    with daemon(tmp_path) as router:
        status, _, body = post(f"{router.url}/v1/chat/completions", ask("x"))
        ended = router.stop(signal.SIGTERM)

    assert status == 502
    assert b"cannot be reached" in body
    assert ended == 0


def test_a_proxy_is_used_for_the_world_and_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test")

    def proxied(url: str, **more: Any) -> str | None:
        return proxy_for(UpstreamSettings(base_url=url, **more))

    assert proxied("https://api.openai.com/v1") == proxied("http://10.0.0.5/v1") == "http://proxy.test:3128"
    assert proxied("http://127.0.0.1:9/v1") is None
    assert proxied("https://inside.test/v1") is None
    assert proxied("http://10.0.0.5/v1", trust="private") is None
