"""What `[redaction]` adds and takes: names, paths, types that are off, values that may leave."""

from __future__ import annotations

import re

import pytest

from registry.errors import ConfigError
from registry.settings import RedactionSettings
from router.redaction.redactor import redactor_of


def sent(text: str, **keys: object) -> object:
    return redactor_of(RedactionSettings(**keys)).redact({"text": text}).body["text"]


def test_a_listed_name_is_masked_as_a_whole_word_in_any_case() -> None:
    text = "Ann Müller, ANN MÜLLER and Annex; José's or Josés"
    assert sent(text, names=("Ann Müller", "José", "Ann")) == "PIINAME1, PIINAME2 and Annex; PIINAME3's or Josés"


def test_a_blank_of_a_listed_name_is_any_run_of_white_space() -> None:
    for between in ("  ", "\n", "\t", "\u00a0", " \r\n  "):
        assert sent(f"ask Mirela{between}Vasquez now", names=("Mirela Vasquez",)) == "ask PIINAME1 now"
    assert sent("ask MirelaVasquez", names=("Mirela Vasquez",)) == "ask MirelaVasquez"


def test_the_longest_of_names_that_begin_alike_is_masked() -> None:
    assert sent("ask Ann Lee", names=("Ann", "Ann Lee")) == "ask PIINAME1"


@pytest.mark.parametrize(
    "path", ["clients/acme/plan.md", "./clients/acme/a/b.py", "/home/me/repo/clients/acme/x", "key.pem"]
)
def test_a_path_that_a_glob_names_is_masked(path: str) -> None:
    assert sent(f"open {path}.", paths=("clients/acme/**", "*.pem")) == "open REPOPATH1."


@pytest.mark.parametrize("path", ["clients/other/plan.md", "keyxpem", "src/clients.py"])
def test_another_path_is_left(path: str) -> None:
    assert sent(f"open {path}", paths=("clients/acme/**", "*.pem")) == f"open {path}"


def test_one_star_stays_inside_a_folder_and_two_do_not() -> None:
    told = sent("docs/a.md docs/b/c.md src/b/c.md", paths=("docs/*.md", "src/**.md"))
    assert told == "REPOPATH1 docs/b/c.md REPOPATH2"


def test_an_allowed_value_leaves_and_others_do_not() -> None:
    text = "Help@ours.com, bob@ours.com, bob@their.com"
    told = sent(text, allow=("help@OURS.com", "*@their.com"))
    assert isinstance(told, str)
    assert re.fullmatch(r"Help@ours\.com, PIIEMAIL1\S*, bob@their\.com", told)


def test_a_type_that_is_off_is_left() -> None:
    assert sent("from 81.2.69.142, customer_7", off=("PIIIP",)) == "from 81.2.69.142, CUSTOMER1"


def test_what_is_off_hides_nothing_of_another_type() -> None:
    told = str(sent("password = bob42@example.org", off=("SECRET",)))
    assert told.startswith("password = PIIEMAIL1")


def test_nothing_is_masked_as_a_type_that_is_off() -> None:
    assert "CUSTOMER" not in redactor_of(RedactionSettings(off=("CUSTOMER",))).types


def test_a_type_that_there_is_not_cannot_be_off() -> None:
    with pytest.raises(ConfigError, match=r"redaction\.off: there is no type 'PIIIPS'; known types: CUSTOMER, PIICARD"):
        redactor_of(RedactionSettings(off=("PIIIPS",)))


def test_names_that_are_all_blank_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"redaction\.names"):
        redactor_of(RedactionSettings(names=(" ",)))


def test_more_names_than_one_search_takes_are_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"redaction.names has 1,027,780 characters in 50,000 names"):
        redactor_of(RedactionSettings(names=tuple(f"Name{number} Person{number}" for number in range(50_000))))
