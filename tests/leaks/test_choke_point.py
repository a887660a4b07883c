"""Only the egress opens a cloud, and only the composition root makes one: read off the source, not off what is run."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("registry", "router", "breeder")
CLIENTS = {"aiohttp", "anthropic", "boto3", "grpc", "http", "httpx", "openai", "requests", "urllib3", "websockets"}
"""Libraries that can speak to a server."""
MAY_SPEAK = {
    "router/http_cloud.py",  # the one client of upstreams
    "router/engine/client.py",  # a unix socket to our own child
    "router/detecting.py",  # `init` looks for model servers on loopback, with GET and nothing of the user's
    "breeder/rehearsal/traffic.py",  # plays a client of our own daemon on loopback
}


@cache
def modules() -> dict[str, ast.Module]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    wanted = (ast.Call, ast.Await, ast.Import, ast.ImportFrom)
    return [(name, node) for name, tree in modules().items() for node in ast.walk(tree) if isinstance(node, wanted)]


def calls(name: str) -> set[str]:
    """Return the modules that call a function or a method of this name."""
    found = set()
    for module, node in nodes():
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found |= {module} if called == name else set()
    return found


def awaited_opens() -> set[str]:
    """Return the modules that await `something.open(...)`, as `Cloud.open` is."""
    found = set()
    for module, node in nodes():
        call = node.value if isinstance(node, ast.Await) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "open":
            found.add(module)
    return found


def imports() -> dict[str, set[str]]:
    """Return each module's imports from CLIENTS, wherever in it they stand."""
    found: dict[str, set[str]] = {}
    for module, node in nodes():
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
        only_words = isinstance(node, ast.ImportFrom) and {one.name for one in node.names} <= {"HTTPStatus"}
        speaking = set() if only_words else {name.partition(".")[0] for name in names} & CLIENTS
        if speaking:
            found.setdefault(module, set()).update(speaking)
    return found


def test_only_the_egress_opens_a_cloud() -> None:
    assert awaited_opens() == {"router/egress.py"}


def test_only_the_composition_root_makes_clouds_and_the_egress() -> None:
    assert calls("HttpCloud") == calls("make_cloud") == calls("Egress") == {"router/deps.py"}


def test_what_leaves_is_put_together_in_one_place() -> None:
    assert calls("Parcel") == {"router/passing.py"}
    assert calls("CloudRequest") == {"router/egress.py"}


def test_nobody_else_can_speak_to_a_server() -> None:
    assert set(imports()) == MAY_SPEAK


def test_nobody_opens_urls_or_foreign_sockets_by_the_standard_library() -> None:
    # The rehearsal asks its own daemon whether it is ready.
    assert calls("urlopen") == {"breeder/rehearsal/daemon.py"}
    assert calls("create_connection") == calls("open_connection") == set()


def test_the_egress_sends_to_a_cloud_what_is_masked_and_nothing_else() -> None:
    """`received` is read where the upstream is the user's own, and nowhere is it a default."""
    tree = modules()["router/egress.py"]
    reads = [
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.IfExp) and "received" in ast.unparse(node)
    ]
    others = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "received" and "model" not in ast.unparse(node)
    ]

    assert reads == ["parcel.received if private else parcel.masked"]
    assert others.count("parcel.received") == 3  # that one, and twice to read the model's name
