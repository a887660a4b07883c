from __future__ import annotations

import pytest

from router.origins import foreign

HERE = ("127.0.0.1", 8484)


def judged(
    host: str = "localhost:8484", server: tuple[str, int] = HERE, hosts: tuple[str, ...] = (), **more: str
) -> str:
    headers = [("host", host), *((name.replace("_", "-"), value) for name, value in more.items())]
    return foreign([(name.encode(), value.encode()) for name, value in headers], server, hosts)


@pytest.mark.parametrize("host", ["127.0.0.1:8484", "localhost", "LOCALHOST:8484", "[::1]:8484", "127.0.0.1"])
def test_loopback_names_are_welcome(host: str) -> None:
    assert judged(host) == ""


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.test", "127.0.0.1.evil.test", "localhost:8484.evil.test", "10.0.0.1:8484", "localhost.",
        "localhost.:8484", "localhost@evil.test", "evil.test@localhost", "0.0.0.0:8484", "0", "2130706433",
        "0x7f000001", "127.1", "[::1%25lo]:8484", "[::ffff:127.0.0.1]:8484", "[::]:8484", "localhost:",
        "localhost:port", "localhost,x", "localhost evil.test", "localhost/evil", "localhost\n", "*",
    ],
)  # fmt: skip
def test_a_rebound_host_name_is_foreign(host: str) -> None:
    assert "host" in judged(host)


def test_no_host_or_two_are_foreign() -> None:
    twice = [(b"host", b"localhost:8484"), (b"host", b"evil.test")]
    assert all("host" in foreign(headers, HERE) for headers in ([], twice, twice[::-1], [twice[0], twice[0]]))


def test_the_address_reached_and_listed_names_are_its_own_and_no_others() -> None:
    lan = ("192.168.1.5", 8484)
    assert judged("192.168.1.5:8484", lan) == judged("models.example:443", hosts=("models.example",)) == ""
    assert judged("[fd00::5]:8484", ("fd00::5", 8484)) == ""
    for host in ("192.168.1.6:8484", "sub.models.example", "models.example.", "evil.test"):
        assert "host" in judged(host, lan, ("models.example",))
    assert "host" in judged("evil.test", ("evil.test", 80))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test", "null", "", "http://localhost:3000", "http://localhost", "http://127.0.0.1:8484",
        "http://[::1]:8484", "http://localhost:8484.evil.test", "http://localhost:84844", "file://", "data:",
        "localhost:8484", "chrome-extension://abcdef", "http://localhost:8484/", "http://localhost:8484 http://evil.test",
    ],
)  # fmt: skip
def test_a_page_from_elsewhere_is_foreign(origin: str) -> None:
    assert "origin" in judged(origin=origin)


def test_the_daemons_own_pages_are_welcome() -> None:
    assert judged(origin="http://localhost:8484", sec_fetch_site="same-origin") == ""
    assert judged(sec_fetch_site="none") == ""


def test_a_listed_name_has_no_pages() -> None:
    assert "origin" in judged("models.example", hosts=("models.example",), origin="http://models.example")
    assert "origin" in judged("192.168.1.5:8484", ("192.168.1.5", 8484), origin="http://192.168.1.5:8484")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "", "anything"])
def test_a_fetch_from_another_site_or_another_port_is_foreign(site: str) -> None:
    assert "cross-site" in judged(sec_fetch_site=site)
