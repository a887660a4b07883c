"""What `trust` says that a file would change: in words, what loosens first, nothing of what only repeats a default."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.home import CONFIG_NAME
from registry.policies import LOCAL_ONLY_CLASSES
from registry.project_file import read_project
from registry.settings import Settings
from registry.trust_changes import LOOSENS, changes
from tests.registry.test_narrowing import HOSTILE, OWN

UNUSABLE = ("local.base", "local.runtime", "unknown.key")


def told(folder: Path, text: str, own: str = OWN) -> list[str]:
    (folder / "own.toml").write_text(own, encoding="utf-8")
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    return changes(read_project(folder / CONFIG_NAME, lambda *_: False), folder / "own.toml")


@pytest.mark.parametrize(
    ("text", "what", "words"),
    [
        (
            "[redaction.rules]\nPROJECT = 'P-[0-9]+'",
            '["CUSTOMER", "PROJECT"] -> ["CUSTOMER"]',
            "in which PROJECT is found",
        ),
        ("[redaction]\nnames = ['Bob']", '["CUSTOMER", "PIINAME"] -> ["CUSTOMER"]', "in which PIINAME is found"),
        ("[[policy.classes]]\nname = 'notes'", '"trade_secret", "notes"] -> [', "of class notes"),
    ],
)
def test_what_stays_because_of_an_untrusted_file_and_leaves_once_it_is_trusted_is_said(
    tmp_path: Path, text: str, what: str, words: str
) -> None:
    first = told(tmp_path, text)[0]

    assert first.startswith(f"{LOOSENS}: policy.")
    assert what in first
    assert first.endswith(f"(a task {words} is masked and may be sent to a cloud, where now it stays here)")


def test_days_for_a_data_class_where_it_had_none_loosen_nothing(tmp_path: Path) -> None:
    lines = told(tmp_path, "[ledger.retention.classes]\nclient = 9")

    assert [line.split(": ")[0] for line in lines] == ["ledger.retention.classes.client"]


def test_names_of_the_users_own_that_a_trusted_file_replaces_are_said(tmp_path: Path) -> None:
    lines = told(tmp_path, "[redaction]\nnames = ['Bob']")

    assert 'loosens: redaction.names: ["Ann", "Bob"] -> ["Bob"] (Ann is sent as it is, not masked)' in lines


@pytest.mark.parametrize("key", [key for key in HOSTILE if key not in UNUSABLE and "." in key])
def test_whatever_lets_more_leave_or_run_is_marked(tmp_path: Path, key: str) -> None:
    lines = [line for line in told(tmp_path, HOSTILE[key]) if key in line]

    assert [line.split(": ")[:2] for line in lines] == [[LOOSENS, key]]
    assert lines[0].endswith(")")


def test_what_loosens_comes_first_and_all_else_is_told_by_what_it_is(tmp_path: Path) -> None:
    text = """
[daemon]
port = 9000
[policy]
offline = true
max_retries = 3
[upstreams.added]
base_url = "https://added.test/v1"
[redaction]
off = ["SECRET"]
"""
    lines = told(tmp_path, text)

    assert [line.partition(" (")[0] for line in lines] == [
        'loosens: redaction.off: [] -> ["SECRET"]',
        'loosens: upstreams.added.base_url: unset -> "https://added.test/v1"',
        "daemon.port: 8484 -> 9000",
        "policy.max_retries: 2 -> 3",
    ]
    assert lines[1].endswith("(requests are sent to https://added.test/v1)")
    assert lines[2].endswith("(TCP port; 0 takes a free one and prints it)")


def test_what_only_repeats_a_default_or_what_holds_anyway_is_not_listed(tmp_path: Path) -> None:
    text = f"[policy]\nimages = 'refuse'\nlocal_only_classes = {[*LOCAL_ONLY_CLASSES]}\n[daemon]\nport = 8484\n"

    assert Settings().daemon.port == 8484
    assert told(tmp_path, text) == []
    assert [line for line in told(tmp_path, "[redaction.rules]\nX1 = 'x'", own="") if "rules" in line] == []


def test_a_new_row_is_listed_whatever_its_name(tmp_path: Path) -> None:
    lines = told(
        tmp_path, '[upstreams."a.b"]\nbase_url = "http://evil.test/v1"\n[upstreams.""]\nbase_url = "http://x/v1"'
    )

    assert [line.split(" -> ")[1].split(" ")[0] for line in lines] == ['"http://x/v1"', '"http://evil.test/v1"']
    assert all(line.startswith(LOOSENS) for line in lines)


def test_numbers_are_marked_only_where_they_let_more_leave_or_stay_for_longer(tmp_path: Path) -> None:
    own = "[ledger.retention]\ndefault_days = 30\nclasses = { client = 9 }\n[policy.budget]\nday_usd = 5.0\n"
    more = "[ledger.retention]\ndefault_days = 60\n[policy]\nminimum_margin = 0.1\n[policy.budget]\nday_usd = 9.0"
    less = "[ledger.retention]\ndefault_days = 10\nclasses = { patient = 9 }\n[policy]\nminimum_margin = -0.5"

    assert [line.split(": ")[0] for line in told(tmp_path, more, own)] == [LOOSENS] * 3
    assert [line.split(": ")[0] for line in told(tmp_path, less, own)] == [
        "ledger.retention.classes.patient",
        "ledger.retention.default_days",
        "policy.minimum_margin",
    ]
