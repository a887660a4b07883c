from __future__ import annotations

from registry.entities import Usage
from router.chat import answer_text, completion, model_list, outgoing_body
from tests.router.making import NOON, task


def test_an_upstream_gets_its_model_name_and_always_counts_its_tokens() -> None:
    body = task(stream=True, stream_options={"other": 1}, metadata={"workflow": "w"})

    sent = outgoing_body(body, "gpt-6", None)
    plain = outgoing_body(task(), "gpt-6", {"user": "7"})

    assert sent["model"] == "gpt-6"
    assert sent["stream_options"] == {"other": 1, "include_usage": True}
    assert "metadata" not in sent
    assert "stream_options" not in plain
    assert plain["metadata"] == {"user": "7"}
    assert body["stream_options"] == {"other": 1}


def test_an_answer_reads_back_as_written() -> None:
    whole = completion("i1", "gpt-5.4", NOON, text="fix", finish="stop", usage=Usage(3, 1, "tokenizer"))

    assert answer_text(whole) == "fix"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert answer_text({"choices": []}) is None


def test_the_model_list_serves_both_sdks() -> None:
    listed = model_list({"auto": "modelbreeder", "gpt-5.4": "openai"}, NOON)

    assert listed["object"] == "list"
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("auto", "gpt-5.4", False)
    assert listed["data"][1] == {  # type: ignore[index]  # Json
        "id": "gpt-5.4",
        "object": "model",
        "created": int(NOON.timestamp()),
        "owned_by": "openai",
        "type": "model",
        "display_name": "gpt-5.4",
        "created_at": "2026-11-21T12:00:00Z",
    }
