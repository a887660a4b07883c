"""detect-secrets as an oracle: what its plugins of high precision find in generated texts is found here too."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.redaction.detectors import default_detectors, find_spans
from tests.router.redaction.planted import ALNUM, LINES, SECRETS, some

plugins = pytest.importorskip("detect_secrets.plugins", reason="detect-secrets, the oracle, is not installed")
DETECTORS = default_detectors()


def oracle() -> list[object]:
    """Return the plugins that look for a vendor's shape; those for entropy or a name alone flag half of all code."""
    from detect_secrets.plugins import (
        aws,
        basic_auth,
        github_token,
        gitlab_token,
        jwt,
        npm,
        openai,
        private_key,
        pypi_token,
        sendgrid,
        slack,
        stripe,
        twilio,
    )  # fmt: skip

    return [
        aws.AWSKeyDetector(), basic_auth.BasicAuthDetector(), github_token.GitHubTokenDetector(),
        gitlab_token.GitLabTokenDetector(), jwt.JwtTokenDetector(), npm.NpmDetector(), openai.OpenAIDetector(),
        private_key.PrivateKeyDetector(), pypi_token.PypiTokenDetector(), sendgrid.SendGridDetector(),
        slack.SlackDetector(), stripe.StripeDetector(), twilio.TwilioKeyDetector(),
    ]  # fmt: skip


ORACLE = oracle()


@given(st.integers(0, 2**32), st.sampled_from(["{}", "x = '{}'", "- {} -", '{{"a": "{}"}}', "see {}, please"]))
def test_what_the_oracle_finds_is_found(seed: int, around: str) -> None:
    rng = random.Random(seed)
    line, make = rng.choice([*LINES.values(), *(("{}", make) for make in SECRETS.values())])
    planted = line.format(make(rng)).replace("\n", "\\n")
    text = around.format(planted + rng.choice(["", " ", f" {some(rng, ALNUM, 5)}"]))
    spans = find_spans(text, DETECTORS)
    for plugin in ORACLE:
        for value in plugin.analyze_string(text):  # type: ignore[attr-defined]  # it ships no types
            start = text.index(value)
            assert any(span.start < start + len(value) and start < span.end for span in spans), type(plugin).__name__
