from __future__ import annotations

import json
from typing import Any

import pytest

from registry.errors import UpstreamError
from registry.prompting import prompt_of
from router.dialects.embeddings import Embeddings
from router.fitness import foreign_field
from router.problems import InvalidRequestError


def read(**more: Any) -> Any:
    return Embeddings().read(json.dumps({"model": "e", "input": ["a", "b"], **more}).encode())


def test_texts_are_one_turn_that_no_specialist_takes() -> None:
    chat = Embeddings().to_chat(read().body)

    assert foreign_field(chat)
    assert prompt_of(chat["messages"]) is not None
    assert Embeddings().to_chat(read(input="a").body)["messages"] != []


def test_a_request_leaves_as_it_came_but_for_model_and_hints() -> None:
    request = read(encoding_format="base64", dimensions=3, metadata={"workflow": "w", "own": "1"})

    sent = Embeddings().outgoing(request.body, "text-embedding-3-small")

    assert sent == {
        "model": "text-embedding-3-small",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 3,
        "metadata": {"own": "1"},
    }


@pytest.mark.parametrize(
    ("more", "param"),
    [({"input": [1, 2]}, "input"), ({"input": []}, "input"), ({"model": 1}, "model"), ({"metadata": 1}, "metadata")],
)
def test_what_cannot_be_routed_or_inspected_names_its_field(more: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**more)

    assert caught.value.param == param


def test_the_ledger_keeps_token_counts_and_no_vectors() -> None:
    kept = Embeddings().answer_to_chat({"data": [{"embedding": "AAAA"}], "model": "e", "usage": {"prompt_tokens": 4}})

    assert kept["usage"] == {"prompt_tokens": 4, "completion_tokens": 0}
    assert "AAAA" not in str(kept)
    with pytest.raises(UpstreamError):
        Embeddings().answer_to_chat({"choices": []})
