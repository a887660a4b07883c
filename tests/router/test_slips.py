"""Slips of a client that meant a task to stay: on every surface it is told, and nothing leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from registry.settings import PolicySettings
from router.exchange import TurnError
from tests.router.making import run, settings, task, world
from tests.router.test_surfaces import message, served

SURFACES: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": message(),
    "/v1/messages": message(),
    "/v1/responses": {"model": "gpt-5.4", "input": "hello"},
    "/v1/completions": {"model": "gpt-5.4", "prompt": "hello"},
    "/v1/embeddings": {"model": "gpt-5.4", "input": "hello"},
}


@pytest.mark.parametrize("path", SURFACES)
def test_a_misspelt_hint_of_metadata_counts_or_is_refused(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            for metadata in ({"dataclass": "patient"}, {"DataClass": "patient"}, {"data class": "patient"}):
                stays = await client.post(path, json={**SURFACES[path], "metadata": metadata})
                assert (stays.status_code, stays.headers["x-modelbreeder-lane"]) == (503, "no_op")
            refused = await client.post(path, json={**SURFACES[path], "metadata": {"data_clas": "patient"}})
            assert refused.status_code == 400
            assert "did you mean metadata.data-class?" in refused.text
            beside = await client.post(path, json={**SURFACES[path], "data_class": "patient"})
            assert (beside.status_code, "write it as metadata.data-class" in beside.text) == (400, True)
            assert made.cloud.requests == []

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
def test_what_must_stay_and_nobody_here_can_serve_is_refused_with_why_and_what_to_do(
    tmp_path: Path, path: str, stream: bool
) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            body = {**SURFACES[path], "metadata": {"data-class": "patient"}, **({"stream": True} if stream else {})}
            refused = await client.post(path, json=body)
            assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "false")
            assert "retry-after" not in refused.headers
            said = refused.json()["error"]["message"]
            assert said == (
                "local-only: data class 'patient' is local-only, which never leaves, and nothing on your machines can "
                "serve the task: no specialist is promoted for this kind of task; "
                "name a general local base in [local], or breed a specialist"
            )
            assert made.cloud.requests == []

    run(scene())


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("model", ["vednor/gpt-5.4", "nope@3", "modelbreeder/lokal", "lokal"])
def test_a_misspelt_place_is_not_found_and_told_what_was_meant(tmp_path: Path, path: str, model: str) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            refused = await client.post(path, json={**SURFACES[path], "model": model})
            assert (refused.status_code, refused.headers["x-should-retry"]) == (404, "false")
            assert ("known are none yet" if "@" in model else "did you mean") in refused.text
            assert made.cloud.requests == []

    run(scene())


def test_a_local_only_class_counts_in_any_letter_case_and_one_that_no_hint_can_name_is_refused(tmp_path: Path) -> None:
    given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", local_only_classes=("Patient", " HR ")))

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            for name in ("Patient", "patient", "hr"):
                with pytest.raises(TurnError):
                    await made.ask(task(), {"X-ModelBreeder-Data-Class": name})
            assert made.cloud.requests == []

    run(scene())
    with pytest.raises(ValidationError):
        PolicySettings(local_only_classes=("HR data",))
