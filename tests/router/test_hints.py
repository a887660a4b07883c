from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Json, Lane
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


@pytest.mark.parametrize(("name", "hint"), [("dataklass", "mean x-modelbreeder-data-class"), ("colour", "known are")])
def test_a_header_of_ours_that_names_no_hint_is_an_error(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequestError, match=hint) as caught:
        parse_hints(header(name, "patient"))

    assert caught.value.param == f"x-modelbreeder-{name}"


@pytest.mark.parametrize(
    "name", ["dataclass", "DataClass", "dataClass", "data class", "Data_Class", "data.class", "modelbreeder:data-class"]
)
def test_a_hint_counts_however_its_name_is_spelt(name: str) -> None:
    assert parse_hints([], {name: "patient"}) == Hints(data_class="patient")
    assert without_hints({name: "patient", "user": "7"}) == {"user": "7"}


@pytest.mark.parametrize("name", ["x-modelbreeder-dataclass", "x-model-breeder-data-class", "modelbreeder-data-class"])
def test_a_header_counts_however_its_name_is_spelt(name: str) -> None:
    assert parse_hints([(name, "patient")]) == Hints(data_class="patient")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("x-modelbreder-data-class", "data-class"),
        ("data-class", "data-class"),
        ("x-mb-allow_escalation", "allow-escalation"),
        ("x-model-breader-minimum-margin", "minimum-margin"),
    ],
)
def test_a_header_in_which_only_our_name_is_misspelt_is_an_error(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"did you mean x-modelbreeder-{hint}") as caught:
        parse_hints([(name, "patient")])

    assert caught.value.param == name


@pytest.mark.parametrize("name", ["x-amz-storage-class", "class", "x-object-class", "margin", "x-breeder", "x-class"])
def test_headers_of_others_are_let_alone_however_they_end(name: str) -> None:
    assert parse_hints([(name, "patient")]) == Hints()


@pytest.mark.parametrize("field", ["data_class", "dataClass", "modelbreeder", "x-modelbreeder-lane", "modelbreeder_x"])
def test_a_hint_beside_the_metadata_is_an_error(field: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no field of a request; write it as metadata") as caught:
        parse_hints([], None, ["model", "messages", field])

    assert caught.value.param == field


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"Metadata": {"data-class": "patient"}}, "Metadata.data-class"),
        ({"meta_data": {"dataClass": "patient"}}, "meta_data.dataClass"),
        ({"extra_body": {"data-class": "patient"}}, "extra_body.data-class"),
        ({"extra_body": {"metadata": {"data-class": "patient"}}}, "extra_body.metadata.data-class"),
        ({"extra_headers": {"X-ModelBreeder-Lane": "local"}}, "extra_headers.X-ModelBreeder-Lane"),
        ({"metadata": {"tags": {"data-class": "patient"}}}, "metadata.tags.data-class"),
    ],
)
def test_a_hint_in_another_field_or_deep_in_the_metadata_is_an_error(body: dict[str, Json], param: str) -> None:
    with pytest.raises(InvalidRequestError, match="write it as metadata") as caught:
        parse_hints([], body.get("metadata"), body)

    assert caught.value.param == param


def test_a_property_of_a_schema_may_be_called_as_a_hint_is() -> None:
    schema = {"json_schema": {"schema": {"properties": {"data_class": {"type": "string"}}}}}
    body: dict[str, Json] = {"response_format": schema, "metadata": {"data-class": "code", "a": {"b": {"c": 1}}}}

    assert parse_hints([], body["metadata"], body) == Hints(data_class="code")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("data_clas", "data-class"),
        ("dataclasses", "data-class"),
        ("data-calss", "data-class"),
        ("allow-escalations", "allow-escalation"),
        ("minimum_margn", "minimum-margin"),
        ("modelbreeder-laen", "lane"),
    ],
)
def test_metadata_that_were_probably_meant_as_a_hint_are_an_error(name: str, meant: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"did you mean metadata.{meant}") as caught:
        parse_hints([], {name: "patient"})

    assert caught.value.param == f"metadata.{name}"


@pytest.mark.parametrize("metadata", ['{"data-class": "patient"}', [{"data-class": "patient"}]])
def test_metadata_that_are_no_object_are_an_error_as_a_hint_in_them_would_be_lost(metadata: Json) -> None:
    with pytest.raises(InvalidRequestError, match="must be an object"):
        parse_hints([], metadata)


@pytest.mark.parametrize(
    "name",
    ["user_id", "database", "dataset", "dataset_class_id", "plane", "lanes", "sessions", "session_id", "workflow_id",
     "workflow_name", "task", "task_type", "tasks", "deadline", "class", "data", "margin", "generation_name", "tags",
     "trace_id", "langfuse_session_id", "model", "escalation", "changed", "retries", "x", ""],
)  # fmt: skip
def test_what_clients_put_into_metadata_of_their_own_is_let_alone(name: str) -> None:
    assert parse_hints([], {name: {"any": "thing"}}) == Hints()
    assert without_hints({name: 1}) == {name: 1}


def test_hints_leave_the_metadata_and_nothing_else_does() -> None:
    assert without_hints({"workflow": "w", "X-ModelBreeder-Lane": "local", "user": "7"}) == {"user": "7"}
    assert without_hints({"task_id": "t"}) is None
    assert without_hints(None) is None


@given(st.dictionaries(st.text(max_size=20), st.one_of(st.none(), st.integers(), st.text(max_size=20), st.booleans())))
def test_any_metadata_is_read_or_refused(metadata: dict[str, object]) -> None:
    with suppress(InvalidRequestError):
        assert isinstance(parse_hints([], metadata), Hints)  # type: ignore[arg-type]  # hypothesis cannot say Json
