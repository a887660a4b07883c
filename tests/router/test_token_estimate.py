from __future__ import annotations

import base64
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Json
from router.token_estimate import IMAGE_TOKENS, estimate_tokens

RANDOM = Random(5)
LOG = "2026-11-21 12:00:07,315 ERROR [worker-3] connection reset by peer after 5021 ms\n" * 40
# Counts of OpenAI's o200k_base, taken with tiktoken 0.14.
COUNTED: dict[str, tuple[str, int, float]] = {
    "prose": (
        "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised to see it happen again.",
        23,
        0.2,
    ),
    "code": ("def add(left: int, right: int) -> int:\n    total = left + right\n    return total\n", 24, 0.25),
    "log": (LOG, 1200, 0.2),
    "chinese": ("今天下午我们在会议室讨论了下一个季度的产品计划。大家认为首先应该改进登录流程。", 24, 0.25),
    "korean": ("어제 회의에서 우리는 다음 달에 출시할 새로운 기능에 대해 이야기했습니다.", 18, 0.35),
    "russian": ("Вчера на совещании мы обсудили план работ на следующий квартал.", 17, 0.35),
}


@pytest.mark.parametrize("kind", COUNTED)
def test_estimates_are_near_what_a_vendor_counts(kind: str) -> None:
    text, counted, tolerance = COUNTED[kind]

    assert estimate_tokens(text) == pytest.approx(counted, rel=tolerance)


def test_base64_is_no_prose() -> None:
    blob = base64.b64encode(RANDOM.randbytes(3000)).decode()

    assert estimate_tokens(blob) > 0.5 * len(blob)
    assert estimate_tokens("plain words " * 300) < 0.3 * 3600


def test_all_text_of_a_value_counts() -> None:
    assert estimate_tokens(["abcd", {"k": "efghi"}, 7, None, True]) == 3
    assert estimate_tokens("") == 0
    assert estimate_tokens("a") == 1


def test_a_picture_counts_by_itself_and_not_by_its_bytes() -> None:
    picture: Json = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 100_000}"}}
    document: Json = {"type": "document", "source": {"type": "text", "data": "abcd" * 100}}

    assert estimate_tokens([{"role": "user", "content": [picture]}]) == IMAGE_TOKENS + 1
    assert estimate_tokens(document) < 200


def test_long_texts_are_sampled_alike() -> None:
    for text in (LOG * 20, json.dumps(list(range(20_000))), "plain words " * 9_000):
        pieces = [text[at : at + 8000] for at in range(0, len(text), 8000)]
        assert estimate_tokens(text) == pytest.approx(sum(map(estimate_tokens, pieces)), rel=0.05)


@given(st.text(max_size=200))
def test_any_text_has_an_estimate_within_its_bytes(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= max(1, 2 * len(text.encode(errors="replace")))


def test_the_seedlings_tokenizer_needs_more_for_its_small_vocabulary() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    file = Path(__file__).parents[2] / "data/seedling/tokenizer.json"
    if not file.exists():
        pytest.skip("no seedling")
    told = tokenizers.Tokenizer.from_file(str(file))

    for text in (COUNTED["prose"][0], COUNTED["code"][0], LOG):
        assert 0.5 <= estimate_tokens(text) / len(told.encode(text).ids) <= 1.2
