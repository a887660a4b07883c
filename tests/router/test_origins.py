from __future__ import annotations

import pytest

from router.origins import foreign


@pytest.mark.parametrize("host", ["127.0.0.1:8484", "localhost", "LOCALHOST:8484", "[::1]:8484", "127.0.0.1"])
def test_loopback_names_are_welcome(host: str) -> None:
    assert foreign({"host": host}, 8484) == ""


@pytest.mark.parametrize("host", ["", "evil.test", "127.0.0.1.evil.test", "localhost:8484.evil.test", "10.0.0.1:8484"])
def test_a_rebound_host_name_is_foreign(host: str) -> None:
    assert "host" in foreign({"host": host}, 8484)


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "https://127.0.0.1:8484", "http://localhost:3000", ""])
def test_a_page_from_elsewhere_is_foreign(origin: str) -> None:
    assert "origin" in foreign({"host": "localhost:8484", "origin": origin}, 8484)


def test_the_daemons_own_pages_are_welcome() -> None:
    assert (
        foreign({"host": "localhost:8484", "origin": "http://localhost:8484", "sec-fetch-site": "same-origin"}, 8484)
        == ""
    )


def test_a_cross_site_fetch_is_foreign() -> None:
    assert "cross-site" in foreign({"host": "localhost:8484", "sec-fetch-site": "cross-site"}, 8484)
