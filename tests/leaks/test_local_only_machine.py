"""Whatever clients hint, upstreams do, people promote and policies say: what is local-only reaches no cloud.

The real application with policy, turns, lanes, egress and ledger is driven through random histories before upstreams
in memory. Each request carries a word of its own, in every place that has text, by which it is known wherever it goes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from registry.entities import Interaction, Lane, PromotionAction, PromptTrim, Status
from registry.errors import EngineError, RedactionError
from registry.ids import new_id
from registry.settings import (
    EMBEDDED,
    LOCAL_ONLY_CLASSES,
    BudgetSettings,
    DataClassSettings,
    LedgerSettings,
    LocalSettings,
    PolicyRule,
    PolicySettings,
    RedactionSettings,
    Settings,
    UpstreamSettings,
)
from router.admission import InFlight
from router.app import make_app
from router.redaction.redactor import Redaction, RuleRedactor
from router.reloading import open_rulebook
from tests.faults.in_memory import Got, call
from tests.leaks.classed import CHAT, MODELS, OPENING, PUBLIC, SOURCES, TEXTS, TOLD, TURNS, Asked, asked
from tests.leaks.watching import MOODS, Sent, Watching
from tests.router.making import NOON, World, evaluation, world

_CLASSES = (
    DataClassSettings(name="client", paths=("clients/**",)),
    DataClassSettings(name="patient", patterns=(r"(?i)\bpatient no\b",), types=("PATIENT",)),
    DataClassSettings(name="internal", paths=("internal/**",)),
)
_LOCAL_ONLY = (*LOCAL_ONLY_CLASSES, "internal")
_REDACTION = RedactionSettings(
    rules={"CUSTOMER": r"(?i:customer_[0-9]+)", "PATIENT": r"PT-[0-9]{4}"}, paths=("internal/**",)
)
_OPEN = {"lane": "cloud_escalation"}
_USER_RULES = tuple(
    PolicyRule.model_validate({"name": f"all-out-{number}", "when": when, **_OPEN})
    for number, when in enumerate(
        (
            {"changed_files": ">= 0"},
            {"data_class": "client"},
            {"contains_customer_data": True},
            {"data_class": "!= public"},
            {"match_score": ">= 0"},
            {"in_tool_loop": True},
            {"retry_count": ">= 0", "estimated_tokens": ">= 0"},
        )
    )
)
_FALLBACKS = ("other/big-7", "hosts/kimi-k2:1t-cloud", "anth/claude-9", "hosts/qwen3:8b", "mine/llama")
_PLAIN = ("gpt-5.4", "claude-9", "auto", "local")
_PRIVATE = ("mine/llama", "hosts/qwen3:8b")
_ENGINE_MOODS = ("well", "weak", "wrong", "dies", "dies late", "slow")


class BrokenRedactor(RuleRedactor):
    """Fails on every request, as a redactor does that has a bug or met what it cannot read."""

    def redact(self, body: Any, *, sets_aside: bool = False) -> Redaction:
        raise RedactionError("it broke") if len(str(body)) % 2 else ValueError("a bug")


class LocalOnly(RuleBasedStateMachine):
    """The world, which requests had to stay, and what reached whom."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.stack = asyncio.Runner(), AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="modelbreeder-tests-"))
        self.sent: list[Sent] = []
        self.stays: dict[str, bool] = {}
        self.asked: list[Asked] = []
        self.answered: list[str] = []
        self.local_only = frozenset(_LOCAL_ONLY)
        self.upstreams: dict[str, Watching] = {}
        self.broken = False

    @initialize(general=st.sampled_from((EMBEDDED, "mine", "hosts")))
    def begin(self, general):
        base = {"mine": "llama", "hosts": "qwen3:8b", EMBEDDED: "seedling"}[general]
        given = _settings(LocalSettings(runtime=general, base=base), _policy())
        made = world(self.folder, given, make_cloud=self._upstream)
        self.world: World = self.runner.run(self.stack.enter_async_context(made))
        self.app = make_app(self.world.deps, InFlight(4))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def _upstream(self, name: str, upstream: UpstreamSettings) -> Watching:
        self.upstreams[name] = Watching(name, upstream, self._watch)
        return self.upstreams[name]

    def _watch(self, name: str, model: str, private: bool, body: bytes) -> None:
        """Note what reached an upstream, and whether the ledger held the intent to send exactly that there."""
        target, held = f"{name}/{model}", json.loads(body)
        for one in self.world.deps.ledger.interactions(limit=8, oldest_first=False):
            decision = one.intent.decision
            if decision.selected_model_or_stack == target and decision.selected_runtime == name:
                same = one.intent.request_sent == held or private or "image" in str(held)
                if same and one.outcome is None:
                    self.sent.append(Sent(name, model, private, body, on_record=True))
                    return
        self.sent.append(Sent(name, model, private, body, on_record=False))

    # What happens.

    @rule(one=asked())
    def ask(self, one):
        self._ask(one)

    @rule(one=asked(TEXTS), again=st.lists(st.sampled_from(MODELS), min_size=1, max_size=3))
    def ask_again_elsewhere(self, one, again):
        """A client that got no answer it likes asks the same of other models."""
        for model in (one.model, *again):
            self._ask(replace(one, model=model, hints=(("session", "s1"), ("retry-count", "3"))))

    @rule(number=st.integers(0, 99), model=st.sampled_from(MODELS), stream=st.booleans())
    def ask_an_old_one_again(self, number, model, stream):
        if self.asked:
            self._ask(replace(self.asked[number % len(self.asked)], model=model, stream=stream, hints=()))

    @rule(one=asked(TOLD), model=st.sampled_from(MODELS))
    def go_on_and_say_it_no_more(self, one, model):
        """A client that said of its first turn that it must stay goes on, and says nothing of the kind."""
        if one.surface in TURNS:
            first = self._ask(replace(one, place="user", loop=0, image=False, after=""))
            self._ask(replace(first.followed(), model=model), stays=first.source.name in self.local_only)

    @rule(one=asked(SOURCES), model=st.sampled_from(_PLAIN), mood=st.sampled_from(_ENGINE_MOODS[1:-1]))
    def a_champion_is_not_up_to_it(self, one, model, mood):
        """A weak or failed answer would be escalated."""
        self.world.promote(trim=PromptTrim(prefix=OPENING))
        self.the_engine_changes(mood)
        self._ask(replace(_single(one), model=model, schema=mood == "wrong"))
        self.the_engine_changes("well")

    @rule(one=asked(SOURCES), model=st.sampled_from((*_PLAIN, *_PRIVATE)), mood=st.sampled_from(MOODS[1:]))
    def a_private_model_is_not_up_to_it(self, one, model, mood):
        """What fails, or says what is no answer, would go to the policy's cloud or to its fallbacks."""
        private = [self.upstreams[name] for name in ("mine", "hosts")]
        for upstream in private:
            upstream.mood, upstream.text = mood, "no json"
        self._ask(replace(_single(one), model=model, schema=mood == "well"))
        for upstream in private:
            upstream.mood, upstream.text = "well", "fix"

    @rule(one=asked(TEXTS), model=st.sampled_from(MODELS))
    def a_client_says_that_it_is_public(self, one, model):
        self._ask(replace(one, model=model, hints=(("data-class", "public"), ("allow-escalation", "true"))))

    @rule(loop=st.integers(1, 2), place=st.sampled_from(("call", "result")), source=st.sampled_from(SOURCES))
    def a_tool_loop_of_the_cloud_meets_what_must_stay(self, loop, place, source):
        """The session, the loop and its opening are known to be in the cloud when the data come."""
        opening = Asked(CHAT, "gpt-5.4", PUBLIC, place="call", loop=loop, hints=(("session", "s1"),))
        self._ask(opening)
        self._ask(replace(opening, source=source, place=place))

    @rule(name=st.sampled_from(("vendor", "other", "anth", "hosts", "mine")), mood=st.sampled_from(MOODS))
    def an_upstream_changes(self, name, mood):
        self.upstreams[name].mood = mood

    @rule(mood=st.sampled_from(MOODS), others=st.sampled_from(("well", "500")))
    def the_private_ones_change(self, mood, others):
        for name, one in self.upstreams.items():
            one.mood = mood if name in ("mine", "hosts") else others

    @rule(name=st.sampled_from(("mine", "hosts")), text=st.sampled_from(("fix", '{"n": 1}', '{"n": "one"}', " ")))
    def a_private_one_says_other_things(self, name, text):
        self.upstreams[name].text = text

    @rule(mood=st.sampled_from(_ENGINE_MOODS))
    def the_engine_changes(self, mood):
        engine = self.world.engine
        engine.confidence = -9.0 if mood == "weak" else -0.1
        engine.say = (lambda _: "no json") if mood == "wrong" else (lambda _: '{"n": 1}')
        engine.fails = EngineError("the engine died") if mood in ("dies", "dies late") else None
        engine.fails_after = 1 if mood == "dies late" else 0
        engine.hangs = mood == "slow"

    @rule(trims=st.booleans(), by=st.sampled_from(("gate", "ann")), expired=st.booleans())
    def promote(self, trims, by, expired):
        trim = PromptTrim(prefix=OPENING) if trims else PromptTrim()
        made = self.world.promote(trim=trim, by=by, evaluated=not expired)
        if expired:
            told = evaluation(evaluation_id=new_id(), specialist=made.name, expires_at_utc=NOON - timedelta(days=1))
            self.world.catalog.add_evaluation(told)

    @rule()
    def demote(self):
        catalog = self.world.catalog
        history = catalog.promotions("commit-type")
        if history and history[-1].specialist:
            expected = {"expected_sequence": history[-1].sequence, "evaluation_id": None, "at": NOON}
            catalog.move_champion("commit-type", PromotionAction.DEMOTE, None, by="ann", reason="bad", **expected)

    @rule(verdict=st.sampled_from(("accepted", "rejected", "corrected")), number=st.integers(0, 99))
    def learn(self, verdict, number):
        if self.answered:
            body = {"interaction": self.answered[number % len(self.answered)], "verdict": verdict}
            body |= {"corrected": "fix"} if verdict == "corrected" else {}
            self.runner.run(call(self.app, "/v1/feedback", json.dumps(body).encode()))

    @rule(
        rules=st.permutations(_USER_RULES),
        count=st.integers(0, len(_USER_RULES)),
        fallbacks=st.permutations(_FALLBACKS),
        offline=st.sampled_from((False, False, False, True)),
        dropped=st.sampled_from(("", "student", "internal")),
        more=st.fixed_dictionaries(
            {
                "images": st.sampled_from(("refuse", "allow")),
                "hold": st.sampled_from(("answer", "none", 1)),
                "choose": st.sampled_from(("cheapest", "best", "fastest")),
                "minimum_context": st.sampled_from(("off", "unnamed", "escalations")),
                "cloud": st.sampled_from(("vendor/gpt-5.4", "anth/claude-9", "hosts/kimi-k2:1t-cloud", None)),
                "budget": st.sampled_from((BudgetSettings(), BudgetSettings(day_usd=0))),
                "minimum_margin": st.sampled_from((-1, -0.05, 1)),
            }
        ),
    )
    def reload(self, rules, count, fallbacks, offline, dropped, more):
        """Another policy comes into force; a class that it no longer lists may leave from then on."""
        kept = tuple(name for name in _LOCAL_ONLY if name != dropped)
        self._put_in_force(
            _policy(
                rules=tuple(rules[:count]),
                fallbacks=tuple(fallbacks),
                content_policy_fallbacks=tuple(fallbacks),
                offline=offline,
                local_only_classes=kept,
                **more,
            )
        )

    @precondition(lambda self: not self.broken)
    @rule()
    def the_redactor_breaks(self):
        router = self.world.deps.router
        router.rulebook = replace(router.rulebook, redactor=BrokenRedactor(()))
        self.broken = True

    @precondition(lambda self: self.broken)
    @rule()
    def the_redactor_is_mended(self):
        self._put_in_force(_policy())

    # What must hold.

    def _put_in_force(self, policy: PolicySettings) -> None:
        router = self.world.deps.router
        given = router.rulebook.settings.model_copy(update={"policy": policy})
        router.rulebook = self.runner.run(open_rulebook(given))
        self.local_only, self.broken = frozenset(policy.local_only_classes), False

    def _ask(self, wanted: Asked, *, stays: bool = False) -> Asked:
        one = wanted.marked(len(self.asked) + 1)
        stays = stays or one.source.name == "customer" or one.source.name in self.local_only
        self.stays[one.marker] = stays
        self.asked.append(one)
        before = len(self.sent)
        headers = dict(one.headers)
        if self.world.engine.hangs:
            headers["x-modelbreeder-deadline-ms"] = "30"
        got = self._got(one, headers)
        self._check_what_left(one, before)
        if stays:
            self._check_what_is_told(one, got, len(self.sent) > before)
        return one

    def _got(self, one: Asked, headers: dict[str, str]) -> Got:
        try:
            got = self.runner.run(call(self.app, one.path, one.body(), headers))
        except Exception as error:  # noqa: BLE001 - how a server that may not end an answer breaks a connection off
            assert "Cut" in type(error).__name__, error
            return Got(status=200)
        if "x-modelbreeder-interaction" in got.headers:
            self.answered.append(got.headers["x-modelbreeder-interaction"])
        return got

    def _check_what_left(self, one: Asked, before: int) -> None:
        """Nothing that must stay has reached a cloud, and nothing left unrecorded or past a broken redactor."""
        for sent in self.sent[before:]:
            assert not (self.stays[one.marker] and not sent.private), f"{one} reached {sent.upstream}/{sent.model}"
            assert sent.on_record, f"{one} reached {sent.upstream} before its intent was recorded"
            assert sent.private or not self.broken, f"{one} reached {sent.upstream} though it could not be inspected"
            assert one.marker.encode() in sent.body

    def _check_what_is_told(self, one: Asked, got: Got, sent: bool) -> None:
        """It was answered by the user's own machines or refused, and the ledger says which."""
        if self.broken:
            # No word of it is kept, so that nobody can tell which row is its.
            assert not sent or got.headers.get("x-modelbreeder-lane", Lane.LOCAL_PRIVATE) == Lane.LOCAL_PRIVATE
            return
        told = [found for found in self._newest() if one.marker in json.dumps(found.intent.request_received)]
        assert all(found.intent.decision.lane in (Lane.LOCAL_PRIVATE, Lane.NO_OP) for found in told), told
        assert all(found.outcome is not None for found in told), told
        answered = [found for found in told if found.outcome and found.outcome.status in (Status.OK, Status.TRUNCATED)]
        if got.status == 200:
            assert answered, f"{one} was answered, and the ledger does not say by whom"
            assert all(found.intent.decision.lane is Lane.LOCAL_PRIVATE for found in answered)
        elif got.status not in (400, 404, 422):
            assert told, f"{one} was refused with {got.status}, and the ledger does not say so"

    def _newest(self) -> list[Interaction]:
        return list(self.world.deps.ledger.interactions(limit=12, oldest_first=False))


def _single(one: Asked) -> Asked:
    """Return a request as a specialist takes it: one turn of text, without tools, in no lane of its client's choice."""
    hints = tuple(hint for hint in one.hints if hint[0] not in ("lane", "workflow"))
    return replace(one, place="user", loop=0, tools=False, image=False, hints=hints)


def _policy(**changes: Any) -> PolicySettings:
    given = {"cloud": "vendor/gpt-5.4", "classes": _CLASSES, "local_only_classes": _LOCAL_ONLY, "fallbacks": _FALLBACKS}
    return PolicySettings(**{**given, **changes})


def _settings(local: LocalSettings, policy: PolicySettings) -> Settings:
    quick = {"cooldown_s": 0, "retry_budget_s": 0}
    upstreams = {
        "vendor": UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",), **quick),
        "other": UpstreamSettings(
            base_url="https://other.test/v1", models=("big-7", "o9"), context=9000, responses=True, **quick
        ),
        "anth": UpstreamSettings(
            base_url="https://anth.test/v1", dialect="anthropic", models=("claude-9",), **quick
        ),
        "hosts": UpstreamSettings(
            base_url="http://127.0.0.1:9", dialect="ollama", trust="private", context=8192, tools=True, vision=True,
            models=("qwen3:8b", "kimi-k2:1t-cloud"), **quick,
        ),
        "mine": UpstreamSettings(
            base_url="http://127.0.0.1:8/v1", trust="private", models=("llama",), context=8192, tools=True, **quick
        ),
    }  # fmt: skip
    ledger = LedgerSettings(durability="normal")
    return Settings(upstreams=upstreams, policy=policy, local=local, redaction=_REDACTION, ledger=ledger)


_CHECKS = list(HealthCheck)
TestLocalOnly = LocalOnly.TestCase
TestLocalOnly.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=_CHECKS)


class LocalOnlyAtLength(LocalOnly):
    """The same, for longer."""


TestLocalOnlyAtLength = pytest.mark.slow(LocalOnlyAtLength.TestCase)
TestLocalOnlyAtLength.settings = settings(
    max_examples=600, stateful_step_count=60, deadline=None, suppress_health_check=_CHECKS
)
