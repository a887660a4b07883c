"""A policy that changes under a running router: what is taken over, what is refused, what waits for a restart."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.entities import Lane
from registry.settings import Settings, load_settings
from router.exchange import TurnError
from router.policy import digest_of
from router.reloading import Reloader, _unlike
from tests.router.daemon import Daemon, ask, command, daemon, environment, get, post, write_config
from tests.router.making import FakeReply, World, run, task, world
from tests.router.recording_upstream import recording_upstream
from tests.router.test_daemon_streams import eventually

BASE = """
[upstreams.vendor]
base_url = "https://vendor.test/v1"
models = ["gpt-5.4"]
attempts = 1
[policy]
cloud = "vendor/gpt-5.4"
"""


@asynccontextmanager
async def reloadable(root: Path) -> AsyncIterator[tuple[World, Reloader, Callable[[str], None]]]:
    """Give an open router, what reloads its policy, and a way to write its file."""
    file = root / "modelbreeder.toml"
    file.write_text(BASE, encoding="utf-8")

    def write(more: str) -> None:
        file.write_text(BASE + more, encoding="utf-8")

    async with world(root, load_settings(file)) as made:
        yield made, Reloader(file, made.deps.router), write


async def lane(made: World, **more: Any) -> str:
    try:
        return (await made.ask(task(**more))).headers["x-modelbreeder-lane"]
    except TurnError as error:
        return error.headers["x-modelbreeder-lane"]


def test_the_redactor_and_what_it_found_stay_until_redaction_itself_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            redactors = [made.deps.router.rulebook.redactor]
            for more in ("offline = true\n", 'offline = true\n[redaction]\nnames = ["Ann"]\n'):
                write(more)
                await reloader.reload()
                redactors.append(made.deps.router.rulebook.redactor)

            assert redactors[1] is redactors[0]
            assert "PIINAME1" in str(redactors[2].redact({"text": "for Ann"}).body)

    run(scene())


def test_a_changed_policy_decides_on_the_next_request_and_its_digest_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            assert await lane(made) == "cloud_escalation"
            write("offline = true\n")
            await reloader.reload()
            assert await lane(made) == "no_op"
            digests = [one.intent.decision.policy_digest for one in made.interactions()]

            assert digests[1] == digest_of(load_settings(tmp_path / "modelbreeder.toml").policy) != digests[0]
            assert reloader.state.problem == ""
            assert (reloader.reloads, reloader.failures) == (1, 0)

    run(scene())


def test_changed_redaction_masks_the_next_request(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            await made.ask(task("see T-12"))
            write('[redaction.rules]\nTICKET = "T-[0-9]+"\n')
            await reloader.reload()
            await made.ask(task("see T-12"))

            assert [request["messages"][0]["content"] for request in made.cloud.requests] == ["see T-12", "see TICKET1"]

    run(scene())


def test_changed_checks_judge_the_next_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            made.promote()
            assert await lane(made) == "local_fast"
            write('[[policy.verify]]\nname = "a-number"\npattern = "[0-9]"\n')
            await reloader.reload()

            assert await lane(made) == "cloud_escalation"

    run(scene())


def test_a_request_in_flight_keeps_the_policy_with_which_it_began(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            made.promote()
            reached, go = asyncio.Event(), asyncio.Event()
            cloud_open = made.cloud.open

            async def hold(request: Any) -> Any:
                reached.set()
                await go.wait()
                return await cloud_open(request)

            made.engine.confidence = -2.0
            made.cloud.open = hold  # type: ignore[method-assign]
            asking = asyncio.create_task(made.ask(task()))
            await reached.wait()
            write("offline = true\n")
            await reloader.reload()
            go.set()
            wire = await asking
            first, second = made.interactions()

            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert first.intent.decision.policy_digest == second.intent.decision.policy_digest
            assert await lane(made) == "local_fast"

    run(scene())


def test_fallbacks_are_those_of_the_policy_with_which_a_request_began(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            write('fallbacks = ["vendor/spare"]\n')
            await reloader.reload()
            reached, go = asyncio.Event(), asyncio.Event()
            cloud_open = made.cloud.open

            async def hold(request: Any) -> Any:
                reached.set()
                await go.wait()
                return await cloud_open(request)

            made.cloud.open = hold  # type: ignore[method-assign]
            made.cloud.script = [FakeReply(status=500)]
            asking = asyncio.create_task(made.ask(task()))
            await reached.wait()
            write("")
            await reloader.reload()
            go.set()

            assert (await asking).headers["x-modelbreeder-model"] == "vendor/spare"
            made.cloud.script = [FakeReply(status=500)]
            assert await lane(made) == "cloud_escalation"
            assert [request["model"] for request in made.cloud.requests] == ["gpt-5.4", "spare", "gpt-5.4"]

    run(scene())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("offline = \n", "TOML"),
        ("oflline = true\n", "did you mean 'offline'"),
        ('fallbacks = ["gone/model"]\n', "gone/model"),
        ('customer_data_types = ["NOBODY"]\n', "NOBODY"),
        ('[redaction.rules]\nTICKET = "("\n', "TICKET"),
        ('[[policy.rules]]\nname = "r"\nlane = "no_op"\nwhen = { changed_fles = 1 }\n', "changed_fles"),
        ('[[policy.verify]]\nname = "v"\npattern = "("\n', "("),
        ('[[policy.verify]]\nname = "v"\ncommand = ["no-such-program"]\n', "'v': its program 'no-such-program'"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_the_policy_as_it_is(
    tmp_path: Path, bad: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            before = made.deps.router.rulebook
            write(bad)
            await reloader.reload()

            assert made.deps.router.rulebook is before
            assert said in reloader.state.problem
            assert reloader.state.problem.startswith(str(tmp_path / "modelbreeder.toml"))
            assert (reloader.reloads, reloader.failures) == (0, 1)
            write("offline = true\n")
            await reloader.reload()
            assert made.deps.router.rulebook.policy.offline
            assert reloader.state.problem == ""

    with caplog.at_level(logging.ERROR, "modelbreeder.router"):
        run(scene())
    (line,) = caplog.messages
    assert "stays in force" in line and said in line and "\n" not in line.strip()


def test_a_policy_that_does_not_do_what_it_says_is_in_force_and_each_problem_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rule = '[[policy.rules]]\nname = "{}"\nlane = "no_op"\nwhen = {}\n'

    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            write(rule.format("a", "{}") + rule.format("b", '{ data_class = "patient" }'))
            await reloader.reload()
            assert [rule.name for rule in made.deps.router.rulebook.policy.rules] == ["a", "b"]
            write("")
            await reloader.reload()

    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        run(scene())
    told = [line.partition(" is in force, but ")[2] for line in caplog.messages if "modelbreeder.toml" in line]
    assert told[0] == "rule 'a': it has no condition, so all tasks take no_op and no later rule is tried"
    assert told[1].startswith("rule 'b': it can never decide: ")
    assert len(told) == 2


def test_a_file_that_is_gone_takes_no_policy_along(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            write("offline = true\n")
            await reloader.reload()
            (tmp_path / "modelbreeder.toml").unlink()
            await reloader.reload()

            assert made.deps.router.rulebook.policy.offline
            assert "cannot be read" in reloader.state.problem

    run(scene())


def test_an_upstream_that_only_the_new_file_has_needs_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            write('fallbacks = ["other/m"]\n[upstreams.other]\nbase_url = "https://other.test/v1"\n')
            await reloader.reload()

            assert "'other/m'" in reloader.state.problem and "restart" in reloader.state.problem
            assert made.deps.router.rulebook.policy.fallbacks == ()

    run(scene())


def test_what_the_process_is_built_of_is_named_and_not_applied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (made, reloader, write):
            write(
                'offline = true\n[daemon]\nport = 9999\n[local]\nthreads = 3\n[upstreams.x]\nbase_url = "http://x/v1"\n'
            )
            for _ in range(2):
                await reloader.reload()

            assert reloader.state.waiting == ("daemon.port", "local.threads", "upstreams.x")
            assert made.deps.router.rulebook.policy.offline
            assert made.deps.router.rulebook.settings.daemon.port == 8484
            assert "x" not in made.deps.router.rulebook.settings.upstreams
            write("offline = true\n")
            await reloader.reload()
            assert reloader.state.waiting == ()

    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        run(scene())
    assert [line for line in caplog.messages if "wait for a restart" in line] == [
        "these changes wait for a restart of the daemon: daemon.port, local.threads, upstreams.x"
    ]


def test_a_file_is_read_once_it_is_written_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with reloadable(tmp_path) as (_, reloader, write):
            assert not reloader._changed()
            write("local_only_classes = [")
            assert not reloader._changed()
            write('local_only_classes = ["secret"]\n')
            assert not reloader._changed()
            assert reloader._changed()
            await reloader.reload()
            assert not reloader._changed()

    run(scene())


def test_a_running_daemon_follows_its_file_and_its_signal(tmp_path: Path) -> None:
    with recording_upstream() as upstream:
        write_config(tmp_path, upstream.url)
        with daemon(tmp_path) as router:
            chat = f"{router.url}/v1/chat/completions"
            before = health(router)
            assert post(chat, ask("x"))[1]["x-modelbreeder-lane"] == Lane.CLOUD_ESCALATION

            write_config(tmp_path, upstream.url, policy="offline = true", more="[daemon]\nport = 1\n")
            eventually(lambda: health(router)["digest"] != before["digest"])
            assert post(chat, ask("x"))[1]["x-modelbreeder-lane"] == Lane.NO_OP
            policy = json.loads(get(f"{router.url}/readyz", router.admin)[2])["policy"]
            assert "daemon.port" in policy["waiting_for_restart"]

            write_config(tmp_path, upstream.url, policy="offline = maybe")
            os.kill(router.process.pid, signal.SIGHUP)
            eventually(lambda: health(router)["file"] == "refused")
            assert post(chat, ask("x"))[1]["x-modelbreeder-lane"] == Lane.NO_OP
            assert "TOML" in json.loads(get(f"{router.url}/readyz", router.admin)[2])["policy"]["problem"]
            page = get(f"{router.url}/metrics", router.admin)[2].decode()
            assert "modelbreeder_policy_file_refused 1.0" in page
            assert "modelbreeder_policy_reloads_total 1.0" in page

            write_config(tmp_path, upstream.url)
            eventually(lambda: health(router) == before)
            assert post(chat, ask("x"))[1]["x-modelbreeder-lane"] == Lane.CLOUD_ESCALATION
            assert router.stop() == 0
            assert sum("stays in force" in line for line in router.lines) == 1


def health(router: Daemon) -> Any:
    """Return what the daemon says of its policy, but for what is wrong with it or waits."""
    policy = json.loads(get(f"{router.url}/readyz", router.admin)[2])["policy"]
    return {name: policy[name] for name in ("digest", "file")}


_trees = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
_tables = st.dictionaries(st.sampled_from("abc"), _trees, max_size=3)


@bounded(max_examples=200)
@given(_tables, _tables)
def test_settings_differ_exactly_where_a_key_is_named(before: Any, now: Any) -> None:
    found = list(_unlike(before, now))

    assert bool(found) is (before != now)
    assert all(lookup(before, path) != lookup(now, path) for path in found)


def lookup(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key)
    return tree


def test_a_home_without_a_file_has_the_defaults_until_there_is_one(tmp_path: Path) -> None:
    async def scene() -> None:
        file = tmp_path / "modelbreeder.toml"
        async with world(tmp_path, Settings()) as made:
            reloader = Reloader(file, made.deps.router)
            await reloader.reload()
            assert reloader.state.problem == ""
            file.write_text("[policy]\noffline = true\n", encoding="utf-8")
            await reloader.reload()
            assert made.deps.router.rulebook.policy.offline

    run(scene())


def test_a_daemon_whose_terminal_is_gone_ends_in_order(tmp_path: Path) -> None:
    write_config(tmp_path, "http://127.0.0.1:9/v1")
    ours, terminal = pty.openpty()
    child = subprocess.Popen(
        command(tmp_path, "serve", "--port", "0"), stdin=terminal, stdout=subprocess.PIPE, text=True, env=environment()
    )
    os.close(terminal)
    try:
        assert child.stdout is not None
        assert any("listening" in line for line in child.stdout)
        child.send_signal(signal.SIGHUP)
        os.close(ours)
        child.send_signal(signal.SIGHUP)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]
