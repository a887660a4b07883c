import json
import urllib.request

import openai
import pytest

from breeder.rehearsal.cloud import CloudServer, StandInCloud, cloud_app
from breeder.rehearsal.tasks import RehearsalTask, Workload, as_sent
from router.redaction.redactor import default_redactor


def workload(count: int = 400) -> Workload:
    tasks = tuple(
        RehearsalTask(
            workload="w",
            id=f"{n}",
            prompt=f"p{n} of ann{n}@example.org",
            reference=f"r{n} ann{n}@example.org",
            split="train",
        )
        for n in range(count)
    )
    return Workload("w", tasks, ())


def stand_in(accuracy: float) -> StandInCloud:
    return StandInCloud([workload()], default_redactor(), accuracy=accuracy, seed=5)


def masked(task: RehearsalTask) -> tuple[object, str]:
    sent = as_sent(task, default_redactor())
    return sent.messages(), sent.reference


def test_it_knows_prompts_only_as_they_leave_the_machine():
    cloud, task = stand_in(1.0), workload().train[3]
    messages, reference = masked(task)
    assert cloud.answer(messages) == reference
    assert "ann3@" not in reference
    assert cloud.answer(task.messages()) is None


def test_its_accuracy_is_what_was_asked_and_mistakes_are_drawn_afresh_for_each_call():
    cloud = stand_in(0.9)
    asked = [masked(task) for task in workload().train]
    rights = [[cloud.answer(messages) == reference for messages, reference in asked] for _ in range(5)]
    assert 0.88 < sum(map(sum, rights)) / 2000 < 0.92
    assert rights[0] != rights[1]


@pytest.mark.parametrize("stream", [False, True])
def test_an_openai_client_can_talk_to_it(stream: bool):
    messages, reference = masked(workload().train[0])
    with (
        CloudServer(cloud_app(stand_in(1.0), 0.0)) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        answer = client.chat.completions.create(model="stand-in", messages=messages, stream=stream)
        text = (
            "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
            if stream
            else answer.choices[0].message.content
        )
    assert text == reference


def test_an_unknown_prompt_is_an_error_and_not_an_answer():
    body = json.dumps({"messages": [{"role": "user", "content": "?"}]}).encode()
    with CloudServer(cloud_app(stand_in(1.0), 0.0)) as url:
        request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        with caught.value as error:
            assert error.code == 400
