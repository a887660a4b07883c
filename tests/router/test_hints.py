from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Lane
from router.hints import Hints, parse_hints, without_hints
from router.problems import InvalidRequestError


def header(name: str, value: str) -> list[tuple[str, str]]:
    return [(f"x-modelbreeder-{name}", value)]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("workflow", "commit-type", "commit-type"),
        ("task-id", "T 7", "T 7"),
        ("data-class", "Patient", "patient"),
        ("lane", "local", Lane.LOCAL_FAST),
        ("lane", "cloud", Lane.CLOUD_ESCALATION),
        ("lane", "no_op", Lane.NO_OP),
        ("minimum-margin", "-0.02", -0.02),
        ("allow-escalation", "false", False),
        ("changed-files", "12", 12),
        ("retry-count", "2", 2),
        ("session", "s1", "s1"),
        ("deadline-ms", "900", 900),
    ],
)
def test_a_hint_means_the_same_as_header_and_as_metadata(name: str, text: str, value: object) -> None:
    field = name.replace("-", "_")

    assert getattr(parse_hints(header(name, text)), field) == value
    assert getattr(parse_hints([], {name: text}), field) == value
    assert getattr(parse_hints([], {field: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workflow", "a b"),
        ("workflow", ""),
        ("lane", "moon"),
        ("minimum-margin", "high"),
        ("minimum-margin", "nan"),
        ("minimum-margin", "2"),
        ("allow-escalation", "perhaps"),
        ("changed-files", "-1"),
        ("retry-count", "1.5"),
        ("deadline-ms", "soon"),
        ("task-id", "x" * 201),
    ],
)
def test_a_hint_that_cannot_be_read_is_an_error_that_names_it(name: str, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"x-modelbreeder-{name}") as caught:
        parse_hints(header(name, text))

    assert caught.value.param == f"x-modelbreeder-{name}"


def test_numbers_and_truth_values_may_come_as_json() -> None:
    hints = parse_hints([], {"changed-files": 9, "allow-escalation": False, "minimum-margin": 0.5})

    assert (hints.changed_files, hints.allow_escalation, hints.minimum_margin) == (9, False, 0.5)


def test_a_hint_that_is_an_object_is_an_error() -> None:
    with pytest.raises(InvalidRequestError, match=r"metadata\.session"):
        parse_hints([], {"session": {"id": 1}})


@given(st.floats(-1, 1), st.floats(-1, 1), st.booleans(), st.booleans())
def test_of_two_hints_the_narrower_holds(one: float, other: float, first: bool, second: bool) -> None:
    hints = parse_hints(
        [*header("minimum-margin", repr(one)), *header("allow-escalation", str(first))],
        {"minimum-margin": repr(other), "allow-escalation": str(second)},
    )

    assert hints.minimum_margin == max(one, other)
    assert hints.allow_escalation is (first and second)


def test_two_hints_that_contradict_each_other_are_an_error() -> None:
    with pytest.raises(InvalidRequestError, match="public"):
        parse_hints(header("data-class", "public"), {"data-class": "client"})


def test_unknown_headers_of_others_and_metadata_are_not_hints() -> None:
    assert parse_hints([("colour", "red"), ("accept", "x")], {"colour": "red", "user": "7"}) == Hints()


@pytest.mark.parametrize(("name", "hint"), [("dataclass", "mean x-modelbreeder-data-class"), ("colour", "known are")])
def test_a_header_of_ours_that_names_no_hint_is_an_error(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequestError, match=hint) as caught:
        parse_hints(header(name, "patient"))

    assert caught.value.param == f"x-modelbreeder-{name}"


def test_hints_leave_the_metadata_and_nothing_else_does() -> None:
    assert without_hints({"workflow": "w", "X-ModelBreeder-Lane": "local", "user": "7"}) == {"user": "7"}
    assert without_hints({"task_id": "t"}) is None
    assert without_hints(None) is None


@given(st.dictionaries(st.text(max_size=20), st.one_of(st.none(), st.integers(), st.text(max_size=20), st.booleans())))
def test_any_metadata_is_read_or_refused(metadata: dict[str, object]) -> None:
    with suppress(InvalidRequestError):
        assert isinstance(parse_hints([], metadata), Hints)  # type: ignore[arg-type]  # hypothesis cannot say Json
