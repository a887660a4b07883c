from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.cli import add_commands
from router.cli.frame import new_app, run
from tests.router.daemon import write_config
from tests.router.recording_upstream import Upstream, recording_upstream

Result = tuple[int, str, str]
RULE = '[[policy.rules]]\nname = "{0}"\nlane = "cloud_escalation"\nwhen = {{ changed_files = "{1}" }}\n'


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_VENDOR_KEY", "k")
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


def test_a_good_policy_is_listed_in_the_order_in_which_its_rules_are_tried(
    call: Callable[..., Result], home: Path, upstream: Upstream
) -> None:
    write_config(home, upstream.url, more=RULE.format("big", "> 30"))
    code, out, _ = call("policy", "check")
    found = json.loads(call("policy", "check", "--json")[1])
    names = [rule["name"] for rule in found["rules"]]

    assert code == 0
    assert "\tbig\tcloud_escalation\tchanged_files > 30\n" in out
    assert (found["ok"], found["problems"]) == (True, [])
    assert names.index("explicit-lane") < names.index("big") < names.index("champion")


def test_a_rule_that_never_decides_is_named_and_the_exit_code_is_that_of_a_wrong_file(
    call: Callable[..., Result], tmp_path: Path, upstream: Upstream
) -> None:
    write_config(tmp_path / "new", upstream.url, more=RULE.format("a", "> 3") + RULE.format("b", "> 4"))
    file = str(tmp_path / "new" / "modelbreeder.toml")
    code, out, err = call("policy", "check", file)
    found = json.loads(call("policy", "check", file, "--json")[1])

    assert code == 2
    assert "wrong: rule 'b': it can never decide: rule 'a' before it" in out
    assert err.count("\n") == 1
    assert [problem["rule"] for problem in found["problems"]] == ["b"]
    assert found["ok"] is False


@pytest.mark.parametrize(
    ("policy", "more", "told"),
    [
        ("nonsense = 1", "", "nonsense"),
        ("", RULE.format("a", "> many"), "'many'"),
        ("customer_data_types = ['NOBODY']", "", "no redaction rule finds 'NOBODY'"),
        (
            "",
            "[[policy.verify]]\nname='v'\ncommand=['no-such-program']",
            "'v': its program 'no-such-program' is not in",
        ),
    ],
)
def test_what_the_daemon_would_not_load_is_one_line(
    call: Callable[..., Result], home: Path, upstream: Upstream, policy: str, more: str, told: str
) -> None:
    write_config(home, upstream.url, policy=policy, more=more)
    code, _, err = call("policy", "check")
    found = json.loads(call("policy", "check", "--json")[1])

    assert code == 2
    assert err.count("\n") == 1
    assert told in err
    assert str(home / "modelbreeder.toml") in err
    assert told in found["problems"][0]["what"]
    assert found["ok"] is False


def test_days_of_a_class_that_there_is_not_are_wrong_and_what_nobody_serves_is_noted(
    call: Callable[..., Result], home: Path, upstream: Upstream
) -> None:
    write_config(home, upstream.url, more="[ledger.retention]\nclasses = { pateint = 30 }\n")
    code, out, err = call("policy", "check")
    found = json.loads(call("policy", "check", "--json")[1])

    assert code == 2
    assert "wrong: ledger.retention.classes names 'pateint', which is no data class of the policy" in out
    assert "note: [local] names no general local base, so tasks of client, patient" in out
    assert err.endswith("1 problem in its policy; mend or remove what is named\n")
    assert len(found["notes"]) == 2
    assert found["problems"][0]["what"].startswith("ledger.retention.classes")


def test_the_last_line_counts_the_notes(call: Callable[..., Result], home: Path, upstream: Upstream) -> None:
    quiet = "local_only_classes = []"
    write_config(home, upstream.url, policy=quiet)
    assert call("policy", "check")[1].endswith(": nothing is wrong\n")
    write_config(home, upstream.url, policy=quiet, more="[redaction.rules]\nTICKET = 'TCK-[0-9]{6'\n")
    code, out, _ = call("policy", "check")

    assert code == 0
    assert "note: redaction.rules.TICKET has '{6' without a closing brace" in out
    assert out.endswith(": nothing is wrong; 1 note above\n")


def test_allowing_everything_to_leave_is_wrong(call: Callable[..., Result], home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, more='[redaction]\nallow = ["*"]\n')
    code, out, _ = call("policy", "check")

    assert code == 2
    assert "wrong: redaction.allow '*' fits values of every kind, which leave unmasked" in out


def test_a_file_that_a_check_may_not_read_is_named(call: Callable[..., Result], home: Path, upstream: Upstream) -> None:
    command = f"command = ['cat', '{home / 'modelbreeder.toml'}']"
    write_config(home, upstream.url, more=f"[[policy.verify]]\nname = 'v'\n{command}\n")
    code, out, _ = call("policy", "check")
    named = f"wrong: policy.verify 'v': its argument '{home / 'modelbreeder.toml'}'"

    assert code == 2
    assert f"{named} is a file that it may not read; add the file or its folder to readable" in out


@pytest.mark.parametrize("command", ["check", "replay"])
def test_a_file_that_is_not_there_is_not_found(call: Callable[..., Result], tmp_path: Path, command: str) -> None:
    assert call("policy", command, str(tmp_path / "none.toml"))[0] == 3


def test_recorded_tasks_are_replayed_under_another_policy_and_nothing_is_sent(
    call: Callable[..., Result], tmp_path: Path, upstream: Upstream
) -> None:
    (tmp_path / "task.txt").write_text("Plan it for bob@example.org", encoding="utf-8")
    name = json.loads(call("run", str(tmp_path / "task.txt"), "--workflow", "plans", "--json")[1])["interaction"]
    write_config(tmp_path / "new", upstream.url, policy="offline = true")
    file = str(tmp_path / "new" / "modelbreeder.toml")
    asked = len(upstream.requests)
    code, out, _ = call("policy", "replay", file, "--days", "1")
    found = json.loads(call("policy", "replay", file, "--json")[1])

    assert code == 0
    assert out.startswith("1 tasks of the past 1 days")
    assert "\ncloud_escalation\t1\t0\n" in out
    assert (
        "local\tplans\t1\toffline: policy.offline is set, and nothing on your machines can serve the task: no spec"
        in out
    )
    assert f"breed a specialist\t{name}\n" in out
    assert found["lanes_after"] == {"local_fast": 0, "local_private": 0, "cloud_escalation": 0, "no_op": 1}
    assert found["moves"][0]["examples"] == [name]
    assert found["cost_before"]["usd"] > found["cost_after"]["usd"] == 0
    assert found["specialists"] == "of today"
    assert len(upstream.requests) == asked
