from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import typer

from registry import errors
from router.cli import add_commands
from router.cli.frame import exit_code_of, home_of, new_app, run
from tests.router.daemon import ask, command, environment, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

Result = tuple[int, str, str]
SECRET = "bob@example.org"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_VENDOR_KEY", "k")
    upstream.requests.clear()
    upstream.behaviour = "ok"
    write_config(tmp_path / "home", upstream.url)
    return tmp_path / "home"


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    app = new_app("The router.")
    add_commands(app)

    def calling(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            run(app, ["--home", str(home), *arguments])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return calling


def test_a_text_is_explained_without_sending_it(call: Callable[..., Result], upstream: Upstream) -> None:
    code, out, _ = call("explain", f"mail {SECRET}", "--workflow", "greet")

    assert code == 0
    assert "cloud_escalation" in out
    assert "no specialist is promoted for greet" in out
    assert "1 PIIEMAIL" in out
    assert SECRET not in out
    assert upstream.requests == []


def test_a_file_is_explained_as_json(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({**ask("x"), "model": "local"}), encoding="utf-8")
    code, out, _ = call("explain", str(tmp_path / "request.json"), "--json")
    told = json.loads(out)

    assert code == 0
    assert told["decision"]["lane"] == "no_op"
    assert told["decision"]["rule"] == "explicit-lane"
    assert told["envelope"]["requested_model"] == "local"


def test_a_request_is_run_and_its_record_exported(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text(f"mail {SECRET}", encoding="utf-8")
    code, out, _ = call("run", str(tmp_path / "task.txt"), "--workflow", "greet")
    answer, record = out.splitlines()
    kept = json.loads(Path(record.removeprefix("record: ")).read_text(encoding="utf-8"))

    assert code == 0
    assert answer == f"You said: mail {SECRET}"
    assert kept["intent"]["envelope"]["workflow"] == "greet"
    assert kept["outcome"]["status"] == "ok"
    assert SECRET not in json.dumps(kept)


def test_a_streaming_request_in_a_file_is_answered_whole(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(ask("hi", stream=True)), encoding="utf-8")
    code, out, _ = call("run", str(tmp_path / "request.json"), "--json")
    told = json.loads(out)

    assert code == 0
    assert told["answer"] == "You said: hi"
    assert told["lane"] == "cloud_escalation"
    assert Path(told["record"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "behaviour", "code"),
    [
        (("--lane", "local"), "ok", 69),
        (("--lane", "moon"), "ok", 2),
        ((), "500", 69),
    ],
)
def test_a_run_that_fails_is_one_line_and_its_exit_code(
    call: Callable[..., Result],
    tmp_path: Path,
    upstream: Upstream,
    *,
    arguments: tuple[str, ...],
    behaviour: str,
    code: int,
) -> None:
    upstream.behaviour = behaviour
    (tmp_path / "task.txt").write_text("x", encoding="utf-8")
    ended, _, err = call("run", str(tmp_path / "task.txt"), *arguments)

    assert ended == code
    assert err.count("\n") == 1
    assert err.startswith("modelbreeder: ")


def test_the_ledger_is_listed_shown_and_verified(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text("x", encoding="utf-8")
    told = json.loads(call("run", str(tmp_path / "task.txt"), "--json")[1])
    name = told["interaction"]
    listed = call("ledger", "ls")[1].splitlines()
    as_json = json.loads(call("ledger", "ls", "--json", "--lane", "cloud_escalation")[1])
    shown = json.loads(call("ledger", "show", name)[1])
    verified = json.loads(call("ledger", "verify", "--json")[1])

    assert listed[0].startswith("interaction\tat\tworkflow")
    assert listed[1].startswith(f"{name}\t")
    assert as_json[0]["interaction"] == name
    assert (as_json[0]["status"], as_json[0]["client"], as_json[0]["session"]) == ("ok", "local", None)
    assert call("ledger", "ls", "--workflow", "other", "--json")[1] == "[]\n"
    assert shown["intent"]["interaction_id"] == name
    assert verified["ok"] is True
    assert verified["report"]["problems"] == []
    assert call("ledger", "show", "nope")[0] == 3


def test_feedback_is_recorded(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text("x", encoding="utf-8")
    (tmp_path / "right.txt").write_text(f"write to {SECRET}", encoding="utf-8")
    name = json.loads(call("run", str(tmp_path / "task.txt"), "--json")[1])["interaction"]
    code, _, _ = call("feedback", name, "--correct", str(tmp_path / "right.txt"), "--score", "0.5")
    shown = json.loads(call("ledger", "show", name)[1])

    assert code == 0
    assert shown["feedback"]["verdict"] == "corrected"
    assert shown["feedback"]["corrected"] == "write to PIIEMAIL1@masked.invalid"
    assert call("feedback", name)[0] == 2
    assert call("feedback", name, "--accept", "--reject")[0] == 2
    assert call("feedback", "nope", "--accept")[0] == 3
    assert call("feedback", name[:-1], "--accept") == (0, f"{name} is recorded as accepted\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("explain", "hello", "--lane", "nonsense"), "--lane is 'nonsense'; it must be one of local_fast"),
        (("explain", "hello", "--workflow", "no name"), "--workflow is 'no name'; it must be letters"),
        (("explain", "hello", "--surface", "nonsense"), "--surface is 'nonsense'; it must be one of openai.chat"),
        (("run", "-", "--lane", "nonsense"), "--lane is 'nonsense'"),
        (("run", "-", "--workflow", "no name"), "--workflow is 'no name'"),
        (("redact", "-", "--json", "--jsonl"), "one of --json and --jsonl"),
        (("feedback", "", "--accept"), "the ID is empty"),
        (("feedback", "x", "--accept", "--score", "2"), "--score"),
        (("token", "add", "no name"), "'no name'"),
        (("serve", "--dry-run"), "--install"),
        (("ledger", "ls", "--limit", "0"), "--limit"),
        (("policy", "replay"), "NEW.toml"),
        (("nonsense",), "nonsense"),
        (("ledger", "nonsense"), "nonsense"),
    ],
)
def test_a_command_line_that_cannot_be_used_names_what_is_wrong_and_exits_with_2(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hello")))
    code, _, err = call(*arguments)

    assert code == 2
    assert told in err


def test_an_interaction_is_shown_by_how_its_id_begins(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "task.txt").write_text("say hello", encoding="utf-8")
    names = [json.loads(call("run", str(tmp_path / "task.txt"), "--json")[1])["interaction"] for _ in range(2)]
    common = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(*names, strict=True)))
    shown = json.loads(call("ledger", "show", names[0][: len(common) + 1], "--json")[1])
    code, _, err = call("ledger", "show", common)

    assert shown["intent"]["interaction_id"] == names[0]
    assert code == 2
    assert f"{common!r} begins several ids, as {names[1]}, {names[0]}" in err
    assert call("ledger", "show", names[1])[0] == 0
    assert call("ledger", "show", f"{names[1]}0")[0] == 3
    assert call("ledger", "show", "%")[0] == 3


def test_redact_shows_what_would_leave(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(f"mail {SECRET}\n", encoding="utf-8")
    code, out, _ = call("redact", str(tmp_path / "text.txt"))
    told = json.loads(call("redact", str(tmp_path / "text.txt"), "--json")[1])

    assert (code, out) == (0, "mail PIIEMAIL1@masked.invalid\n")
    assert told["spans"][0]["type"] == "PIIEMAIL"
    assert (told["spans"][0]["start"], told["spans"][0]["end"]) == (5, 20)
    assert SECRET not in json.dumps(told)


def test_redact_maps_json_lines(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = json.dumps({"text": f"mail {SECRET}"}) + "\n\n" + json.dumps({"text": "nothing"}) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    code, out, _ = call("redact", "-", "--jsonl")

    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"text": "mail PIIEMAIL1@masked.invalid", "spans": [[5, 20, "PIIEMAIL"]]},
        {"text": "nothing", "spans": []},
    ]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"txt": "x"}'])
def test_a_line_that_is_no_text_is_named(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f'{{"text":"a"}}\n{line}\n'.encode())))
    code, _, err = call("redact", "-", "--jsonl")

    assert code == 1
    assert "line 2" in err


def test_a_file_that_is_not_there_is_named(call: Callable[..., Result], tmp_path: Path) -> None:
    code, _, err = call("redact", str(tmp_path / "missing.txt"))

    assert code == 3
    assert "missing.txt" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ModelBreederError("x"), 1),
        (errors.ConfigError("x"), 2),
        (errors.NotFoundError("x"), 3),
        (errors.ConflictError("x"), 4),
        (errors.RefusedError("x"), 5),
        (errors.UpstreamError("x"), 69),
        (errors.LedgerError("x"), 75),
    ],
)
def test_exit_codes(error: errors.ModelBreederError, code: int) -> None:
    assert exit_code_of(error) == code


def test_commands_mounted_elsewhere_use_the_environments_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBREEDER_HOME", str(tmp_path))
    seen: list[Path] = []
    other = typer.Typer()

    @other.command()
    def show(context: typer.Context) -> None:
        seen.append(home_of(context).config_file)

    with pytest.raises(SystemExit):
        run(other, [])

    assert seen == [tmp_path / "modelbreeder.toml"]


def test_help_imports_nothing_slow() -> None:
    slow = "('pydantic', 'sqlalchemy', 'aiohttp', 'uvicorn')"
    script = f"import sys, router.cli; print(','.join(name for name in {slow} if name in sys.modules))"
    told = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment(), check=True
    )

    assert told.stdout.strip() == ""


def test_ctrl_c_ends_a_command_with_130(home: Path, upstream: Upstream, tmp_path: Path) -> None:
    upstream.behaviour = "hang"
    (tmp_path / "task.txt").write_text("x", encoding="utf-8")
    child = subprocess.Popen(
        command(home, "run", str(tmp_path / "task.txt")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    until = time.monotonic() + 120
    while not upstream.requests and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(2)
    out, err = child.communicate(timeout=120)

    assert child.returncode == 130
    assert b"Traceback" not in err
    assert out == b""


@pytest.mark.parametrize("hints", [{"lane": "nonsense"}, {"data-class": "clinet"}])
def test_a_bad_hint_in_a_file_exits_as_a_bad_option_does(
    call: Callable[..., Result], tmp_path: Path, hints: dict[str, str]
) -> None:
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "x"}], "metadata": hints}
    (tmp_path / "request.json").write_text(json.dumps(body), encoding="utf-8")
    code, out, err = call("explain", str(tmp_path / "request.json"))

    assert (code, out) == (2, "")
    assert next(iter(hints.values())) in err


def test_a_file_that_is_not_there_is_not_explained_as_a_text(call: Callable[..., Result]) -> None:
    code, out, err = call("explain", "nowhere/request.json")

    assert (code, out) == (3, "")
    assert "nowhere/request.json is not there" in err
