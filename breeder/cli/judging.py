"""`promote`, `rollback`, `retire`, `ui`: a person's own decisions, and the place to compare descendants."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.breeding import WorkflowArgument
from breeder.cli.opening import opened, report
from router.cli.frame import JsonOption, home_of, say, say_json

if TYPE_CHECKING:
    from registry.entities import Promotion


def _stated(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why; it is kept for good")
    return reason


ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept for good.", callback=_stated)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (promote, rollback, retire, ui):
        app.command()(command)


def promote(
    context: typer.Context,
    specialist: Annotated[str, typer.Argument(metavar="SPECIALIST", help="As in commit-type@3.")],
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a specialist its workflow's champion, whatever the gate said of it."""
    from registry.entities import PromotionAction, Verdict
    from registry.errors import ConflictError

    with opened(context) as deps:
        one = deps.catalog.specialist(specialist)
        history = deps.catalog.promotions(one.workflow)
        if history and history[-1].specialist == one.name:
            raise ConflictError(f"{one.name} is the champion of {one.workflow} already; nothing was moved")
        if dry_run:
            _would(one.workflow, history, one.name, as_json)
            return
        passed = [told for told in deps.catalog.evaluations(one.name) if told.verdict is Verdict.PASS]
        move = deps.catalog.move_champion(
            one.workflow,
            PromotionAction.PROMOTE,
            one.name,
            expected_sequence=history[-1].sequence if history else None,
            by=getpass.getuser(),
            reason=reason,
            evaluation_id=max(passed, key=lambda told: told.at_utc).evaluation_id if passed else None,
            at=deps.now(),
        )
    _moved(move, as_json)


def rollback(
    context: typer.Context,
    workflow: WorkflowArgument,
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring back the champion before the present one; the cloud where there was none."""
    from registry.champions import champion_before

    with opened(context) as deps:
        if dry_run:
            history = deps.catalog.promotions(workflow)
            _would(workflow, history, champion_before(workflow, history), as_json)
            return
        move = deps.catalog.rollback(workflow, by=getpass.getuser(), reason=reason, at=deps.now())
    _moved(move, as_json)


def retire(
    context: typer.Context,
    workflow: WorkflowArgument,
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let the cloud serve a workflow again, without a champion."""
    from registry.entities import PromotionAction

    with opened(context) as deps:
        history = deps.catalog.promotions(workflow)
        if dry_run:
            _would(workflow, history, None, as_json)
            return
        move = deps.catalog.move_champion(
            workflow,
            PromotionAction.RETIRE,
            None,
            expected_sequence=history[-1].sequence if history else None,
            by=getpass.getuser(),
            reason=reason,
            evaluation_id=None,
            at=deps.now(),
        )
    _moved(move, as_json)


def _would(workflow: str, history: list[Promotion], specialist: str | None, as_json: bool) -> None:
    present = history[-1].specialist if history else None
    if as_json:
        say_json({"workflow": workflow, "from": present, "to": specialist, "moved": False})
    else:
        say(f"{workflow}: {present or 'the cloud'} would give way to {specialist or 'the cloud'}")


def _moved(move: Promotion, as_json: bool) -> None:
    from router.explaining import plain

    if as_json:
        say_json(plain(move))
    else:
        say(f"{move.workflow}: {move.previous or 'the cloud'} gave way to {move.specialist or 'the cloud'}")


def ui(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI on loopback to compare descendants."""
    import socket
    import subprocess
    import sys

    from breeder.tracking import tracking_uri
    from registry.errors import ConflictError

    with socket.socket() as probe:
        # As the server will: a port that was just left may be taken again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConflictError(f"port {port} on 127.0.0.1 is taken; choose another with --port") from error
    uri = tracking_uri(home_of(context).mlruns)
    report(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it), store {uri}")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with subprocess.Popen(command) as server:
        try:
            code = server.wait()
        finally:
            server.terminate()
    raise typer.Exit(code)
