"""What training answers keep to: found or not, and taken by llama.cpp exactly where it should be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("llama_cpp")

from breeder.grammars import MAX_LABEL_CHARS, MAX_LABELS, UNSEEN, find_grammar, grammar_name, is_closed
from breeder.json_layout import LAYOUTS, Layout
from registry.entities import Json
from router.engine.llama import Llama
from tests.pico import write_pico

Takes = Callable[[str, str], bool]

# One loaded base serves every example.
with_real_grammars = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Takes]:
    """Say whether llama.cpp takes a whole text under a grammar, by way of the bytes that the vocabulary spells."""
    path = write_pico(tmp_path_factory.mktemp("gguf") / "base.gguf")
    with closing(Llama(path, threads=1, context=256)) as llama:
        spelled = {llama.piece(token): token for token in range(llama.vocabulary)}
        end = next(token for token in range(llama.vocabulary) if llama.is_end(token))

        def takes(grammar: str, text: str) -> bool:
            state = llama.grammar(grammar)
            for byte in text.encode():
                token = spelled[bytes([byte])]
                if not state.allows(token):
                    return False
                state.accept(token)
            return state.allows(end)

        yield takes


labels = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12), min_size=1, max_size=30
)
awkward = st.sampled_from(
    ['say "hi"', "a\\b", "line\nbreak", "tab\there", "größe", "日本", "[x]", "# no", "::=", "{1}", "\x7f"]
)


@with_real_grammars
@given(found=labels, more=st.lists(awkward), other=st.text(st.characters(codec="utf-8"), max_size=12))
def test_a_closed_set_takes_every_label_and_nothing_else(
    takes: Takes, found: list[str], more: list[str], other: str
) -> None:
    answers = sorted({*found, *more}) * 150
    grammar = find_grammar(answers)
    assert grammar_name(grammar) == f"one of {len(set(answers))} labels"
    assert all(takes(grammar, label) for label in set(answers))
    assert takes(grammar, other) == (other in answers)
    assert not takes(grammar, "")


def test_prefixes_of_each_other_are_all_taken(takes: Takes) -> None:
    grammar = find_grammar(["card", "card lost", "card lost abroad", "car"] * 60)
    assert [takes(grammar, text) for text in ("car", "card", "card lost", "card lo", "cards")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("answers", "closed"),
    [
        (["a", "b"] * 75, True),
        (["a", "b"] * 74, False),
        (["a", "b"] * 150 + ["typo"], True),
        (["a", "b"] * 150 + ["typo", "other"], False),
        ([str(number % MAX_LABELS) for number in range(2000)], True),
        ([str(number % (MAX_LABELS + 1)) for number in range(2010)], False),
        (["a" * MAX_LABEL_CHARS] * 150, True),
        (["a" * (MAX_LABEL_CHARS + 1)] * 150, False),
        (["a\0b"] * 150, False),
        ([str(number) for number in range(300)], False),
        ([], False),
    ],
)
def test_a_set_is_closed_only_where_little_can_be_unseen(answers: list[str], closed: bool) -> None:
    assert is_closed(answers) == closed
    assert bool(find_grammar(answers)) == closed


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("kinds", [3, 20, 80, 200])
def test_what_closed_sets_lack_is_on_average_below_the_bar(kinds: int, exponent: float) -> None:
    """The true chance of an unseen label, over simulated workflows and over those whose samples were found closed."""
    chances = 1.0 / np.arange(1, kinds + 1) ** exponent
    chances /= chances.sum()
    rng = np.random.default_rng(7)
    cost, lacking = [0.0], [0.0]
    for rows in (150, 300, 1000, 3000):
        for _ in range(100):
            counts = rng.multinomial(rows, chances)
            closed = is_closed([str(label) for label, count in enumerate(counts) for _ in range(count)])
            cost.append(chances[counts == 0].sum() if closed else 0.0)
            lacking += cost[-1:] if closed else []
    assert np.mean(cost) <= UNSEEN
    assert np.quantile(lacking, 0.95) <= 2 * UNSEEN


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
documents = st.one_of(
    st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), min_size=1, max_size=6),
    st.lists(st.lists(values, max_size=4), min_size=1, max_size=6),
)


@with_real_grammars
@given(found=documents, layout=st.sampled_from(LAYOUTS), ascii_only=st.booleans(), times=st.sampled_from([1, 150]))
def test_every_training_answer_of_any_json_is_taken(
    takes: Takes, found: list[Json], layout: Layout, ascii_only: bool, times: int
) -> None:
    answers = [
        json.dumps(value, ensure_ascii=ascii_only, indent=layout.indent, separators=(layout.item, layout.key))
        for value in found
    ]
    grammar = find_grammar(answers * times)
    assert all(takes(grammar, answer) for answer in answers) or not grammar
    assert grammar or times == 150 or any("\x00" in answer for answer in answers)


def orders(rows: int, **dumps: object) -> list[str]:
    """Return answers of one shape with free, closed, optional, nested and repeated values."""
    rng = random.Random(5)

    def order(number: int) -> dict[str, Json]:
        note: dict[str, Json] = {"note": f"für {number}"} if rng.random() < 0.3 else {}
        lines: list[Json] = [{"part": f"P{number}-{i}", "count": rng.randint(1, 9)} for i in range(rng.randint(0, 2))]
        size: Json = rng.choice([None, rng.random(), True])
        return {"buyer": f"name {number}", **note, "unit": rng.choice(["kg", 'in "'])} | {"size": size, "lines": lines}

    return [json.dumps(order(number), **dumps) for number in range(rows)]  # type: ignore[arg-type]


COMPACT = {"separators": (",", ":"), "ensure_ascii": False}


def test_a_shape_is_held_in_order_types_closed_values_and_layout(takes: Takes) -> None:
    grammar = find_grammar(orders(300, **COMPACT))
    assert grammar_name(grammar) == "JSON object with 5 keys"
    wanted = '{"buyer":"new","unit":"kg","size":null,"lines":[{"part":"X","count":3}]}'
    assert takes(grammar, wanted)
    assert takes(grammar, wanted.replace('"unit"', '"note":"any \\" \\u00fc ü","unit"'))
    assert takes(grammar, wanted.replace("kg", r"in \""))
    assert takes(grammar, wanted.replace("null", "-1.5e3"))
    assert takes(grammar, wanted.replace('[{"part":"X","count":3}]', "[]"))
    for wrong in (
        wanted.replace(":", ": "),
        wanted + " ",
        wanted.replace('"buyer":"new",', ""),
        wanted.replace('"buyer":"new","unit":"kg"', '"unit":"kg","buyer":"new"'),
        wanted.replace("kg", "lb"),
        wanted.replace("3}", "3.5}"),
        wanted.replace("3}", '"3"}'),
        wanted.replace("3}", "03}"),
        wanted.replace("null", '"large"'),
        wanted.replace("}]}", '}],"more":1}'),
        wanted.replace("new", "new\n"),
        wanted[:-1],
        "{}",
    ):
        assert not takes(grammar, wrong), wrong


def test_an_indented_shape_keeps_its_lines(takes: Takes) -> None:
    answers = orders(200, indent=2)
    grammar = find_grammar(answers)
    assert all(takes(grammar, answer) for answer in answers)
    assert not takes(grammar, json.dumps(json.loads(answers[0])))


@pytest.mark.parametrize("kept", ["abcd", "bd", "d", ""])
def test_optional_keys_may_be_missing_anywhere(takes: Takes, kept: str) -> None:
    """Every subset was seen of four keys; `kept` tells which of them an answer has."""
    subsets = [[key for i, key in enumerate("abcd") if mask >> i & 1] for mask in range(16)]
    grammar = find_grammar([json.dumps(dict.fromkeys(keys, n)) for keys in subsets for n in range(20)])
    assert takes(grammar, json.dumps(dict.fromkeys(kept, 1)))
    assert not takes(grammar, json.dumps(dict.fromkeys(kept[::-1], 1))) or len(kept) < 2
    assert not takes(grammar, '{, "d": 1}')
    assert not takes(grammar, '{"a": 1, }')


def test_keys_in_any_order_are_still_known_keys(takes: Takes) -> None:
    grammar = find_grammar([json.dumps(dict.fromkeys(keys, n)) for n in range(80) for keys in ("ab", "ba")])
    assert grammar_name(grammar) == "JSON object"
    assert takes(grammar, '{"b": 1, "a": 2}')
    assert not takes(grammar, '{"c": 1, "a": 2}')


def test_keys_that_are_data_stay_free_and_their_values_do_not(takes: Takes) -> None:
    grammar = find_grammar([json.dumps({f"row {n}": n, f"other {n}": -n}) for n in range(200)])
    assert takes(grammar, '{"never seen": 7}')
    assert not takes(grammar, '{"never seen": "7"}')


def test_what_all_places_lack_together_stays_below_the_bar(takes: Takes) -> None:
    """Each of three places alone is just closed enough, all of them together are not."""

    def answer(number: int) -> dict[str, Json]:
        label = str(number if number < 9 else number % 2)
        return {"free": f"text {number}", "b": f"b{label}", "c": f"c{label}", "d": f"d{label}"}

    grammar = find_grammar([json.dumps(answer(number)) for number in range(1000)])
    assert all(takes(grammar, json.dumps(answer(number))) for number in range(20))
    assert sum(takes(grammar, json.dumps(answer(0) | {key: "new"})) for key in "bcd") == 2


@pytest.mark.parametrize(
    "answers",
    [
        [f'{{"a": "{n}"}}' if n % 2 else f'{{"a":"{n}"}}' for n in range(100)],
        [f'{{"a": "{n}"}}' if n % 2 else f'["{n}"]' for n in range(100)],
        [f'{{"a": {n}, "a": {n}}}' for n in range(100)],
        [f'{{"a": {n}' for n in range(100)],
        [f'{{"a": NaN, "b": {n}}}' for n in range(100)],
        [f'```json\n{{"a": {n}}}\n```' for n in range(100)],
        [f"{n}" for n in range(100)],
        [f'"{n}"' for n in range(100)],
        [f"{'[' * 9}{n}{']' * 9}" for n in range(100)],
        [f"{'[' * 100_000}{n}" for n in range(3)],
        [f"answer {n}" for n in range(100)],
    ],
    ids=["layouts", "kinds", "twice", "cut", "nan", "fenced", "numbers", "strings", "deep", "very deep", "free"],
)
def test_answers_without_one_shape_have_no_grammar(answers: list[str]) -> None:
    assert find_grammar(answers) == ""


def test_a_grammar_too_long_for_the_engine_is_none() -> None:
    def answer(number: int) -> dict[str, Json]:
        return {"free": number} | {str(key): f"{'x' * 190} {number % 150}" for key in range(10)}

    assert find_grammar([json.dumps(answer(number)) for number in range(600)]) == ""


def test_the_name_is_the_first_line() -> None:
    assert grammar_name("") == "none"
    assert grammar_name('root ::= "a"') == "a grammar without a name"
    assert grammar_name('# one of 2 labels\nroot ::= "a" | "b"') == "one of 2 labels"
