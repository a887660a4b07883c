"""A command of the user's own sees no network, home or secret, and is bounded in all that it takes.

Real processes, in every sandbox that works on this machine; where none does, these tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import uuid
from pathlib import Path

import pytest

from router.verifying.commands import Ran
from router.verifying.sandbox import (
    FILE_BYTES,
    FOLDER,
    OPEN_FILES,
    PROCESSES,
    SEARCH_PATH,
    Sandbox,
)
from tests.router.verifying.running import eventually, found, run, script, started


def test_no_secret_of_the_environment_is_to_be_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-seen")

    assert run(sandbox, "env").tail in (f"PATH={SEARCH_PATH}", f"PATH={SEARCH_PATH} PWD={FOLDER}")
    everything = run(sandbox, "sh", "-c", "cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert "PATH=" in everything.tail
    assert "sk-never-seen" not in everything.tail


def test_no_network_is_to_be_reached_not_even_loopback(sandbox: Sandbox, python: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass
        ran = script(sandbox, python, f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
        assert ran.code == 1
        assert "unreachable" in ran.tail or "refused" in ran.tail
        server.settimeout(0)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()
    interfaces = run(sandbox, "sh", "-c", "cut -d: -f1 /proc/net/dev | tail -n +3").tail
    assert interfaces in ("lo", "")


def test_a_unix_socket_of_the_machine_is_not_to_be_reached(sandbox: Sandbox, python: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        named.bind(str(tmp_path / "s"))
        abstract.bind(f"\0{tmp_path}")
        named.listen()
        abstract.listen()
        for address in (f"{tmp_path}/s", f"\\0{tmp_path}"):
            ran = script(sandbox, python, f"import socket; socket.socket(socket.AF_UNIX).connect('{address}')")
            assert ran.code == 1, address


def test_the_home_and_the_temporary_folders_are_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("never seen")
    tmp_path.chmod(0o755)
    secret.chmod(0o644)

    paths = (str(secret), str(Path.home()), "/home", "/root", "/etc/passwd", "/var", "/run", "/sys", "/old")
    ran = run(sandbox, "ls", "/tmp", *paths)
    assert ran.code == 2
    assert ran.tail.count("No such file") == len(paths)
    assert ran.tail.endswith("/tmp:")


def test_a_folder_that_the_rule_names_is_readable_and_nothing_beside_it(sandbox: Sandbox) -> None:
    # Not under tmp_path, whose parents only root may enter.
    folder = Path(f"/tmp/checks-{uuid.uuid4().hex}")
    try:
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "check").write_text("kept")
        (folder / "beside").write_text("hidden")
        (folder / "link").symlink_to("in")
        # Whoever may write outside, may not inside.
        (folder / "in").chmod(0o777)
        (folder / "in" / "check").chmod(0o666)
        for name in ("in", "link"):
            seen = run(sandbox, "sh", "-c", f"cat {folder}/{name}/check; ls {folder}", readable=(folder / name,))
            assert seen == Ran(0, f"kept{name}")
        only = run(sandbox, "cat", f"{folder}/in/check", readable=(folder / "in" / "check",))
        assert only == Ran(0, "kept")
        assert run(sandbox, "sh", "-c", f"echo x > {folder}/in/check", readable=(folder / "in",)).code != 0
        assert (folder / "in" / "check").read_text() == "kept"
        assert run(sandbox, "true", readable=(folder / "none",)).code not in (0, None)
    finally:
        shutil.rmtree(folder)


def test_the_system_is_read_only_and_what_is_written_is_gone_afterwards(sandbox: Sandbox) -> None:
    wrote = run(sandbox, "sh", "-c", "echo x > note && echo x > /tmp/note && ls . /tmp")
    assert wrote == Ran(0, ".: answer note /tmp: note")
    assert run(sandbox, "ls", "-A", ".", "/tmp").tail == ".: answer /tmp:"
    assert not Path(FOLDER).exists()
    targets = (
        "/usr/x",
        "/bin/x",
        "/etc/alternatives/x",
        "/proc/sys/kernel/hostname",
        "/proc/sys/user/max_user_namespaces",
    )
    tries = "; ".join(f"(echo 1 > {target}) 2> error && echo {target}" for target in targets)
    assert run(sandbox, "sh", "-c", tries).tail == ""


def test_it_has_no_rights_and_gets_none(sandbox: Sandbox) -> None:
    status = run(sandbox, "grep", "-E", "^(CapEff|CapPrm|NoNewPrivs)", "/proc/self/status").tail
    assert status == "CapPrm: 0000000000000000 CapEff: 0000000000000000 NoNewPrivs: 1"
    assert run(sandbox, "id", "-u").tail != "0"
    assert run(sandbox, "unshare", "-r", "true").code != 0


def test_it_sees_no_other_process_and_inherits_no_open_file(sandbox: Sandbox, mark: str) -> None:
    with started("sleep", mark) as other, open(os.devnull) as file:
        os.set_inheritable(file.fileno(), True)
        assert eventually(lambda: found(mark))
        assert run(sandbox, "kill", "-0", str(other.pid)).code == 1
        assert (
            run(
                sandbox, "sh", "-c", f"cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -x '[{mark[0]}]{mark[1:]}'"
            ).tail
            == ""
        )
        assert run(sandbox, "ls", "/proc/self/fd").tail == "0 1 2 3"


def test_the_limits_are_in_force(sandbox: Sandbox) -> None:
    limits = run(sandbox, "sh", "-c", "ulimit -t; ulimit -n; ulimit -v; ulimit -c; cat /proc/self/oom_score_adj")

    assert limits.tail == f"60 {OPEN_FILES} {1 << 20} 0 1000"


def test_a_fork_bomb_is_bounded_and_ends(sandbox: Sandbox, python: str, mark: str) -> None:
    count = """
        import os, time
        made = 0
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(3600)
            except OSError:
                break
            made += 1
        print(made)
    """
    made = int(script(sandbox, python, count).tail)
    assert PROCESSES // 2 < made < PROCESSES

    bomb = f"b() {{ b | b & b; }}; b; sleep {mark}"
    ran = run(sandbox, "sh", "-c", bomb, timeout_s=2)
    assert ran.code != 0


def test_memory_is_bounded(sandbox: Sandbox, python: str) -> None:
    ran = script(sandbox, python, "bytearray(400 << 20)", memory_mb=256)

    assert (ran.code, "MemoryError" in ran.tail) == (1, True)
    assert script(sandbox, python, "bytearray(100 << 20)", memory_mb=256).code == 0


def test_files_are_bounded_each_and_together(sandbox: Sandbox) -> None:
    large = run(sandbox, "sh", "-c", f"head -c {FILE_BYTES + 1} /dev/zero > large")
    assert large.code == 128 + signal.SIGXFSZ
    many = f"for i in 1 2 3 4 5; do head -c {FILE_BYTES} /dev/zero > f$i || exit 3; done"
    assert run(sandbox, "sh", "-c", many).code == 3
