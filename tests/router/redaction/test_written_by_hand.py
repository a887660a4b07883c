"""What people write themselves: pass phrases, simple keys, rows of tables and of SQL, and texts that only look so."""

from __future__ import annotations

import json
import random
import string

import pytest

from router.redaction.detectors import default_detectors, find_spans
from router.redaction.redactor import default_redactor

DETECTORS = default_detectors()
REDACTOR = default_redactor()


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_spans(text, DETECTORS)]


PHRASES = ("Mein Hund 12!", "Regen Schirm 77!", "brevo pass 9912")


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize(
    "frame",
    [
        'password: "{}"', "DB_PASSWORD='{}'", 'client_secret = "{}"', 'The password is "{}"',
        'the password for the server is "{}" I think', "Das Passwort lautet „{}“", "le mot de passe est « {} »",
        'Passwort: "{}"',
    ],
)  # fmt: skip
def test_a_quoted_pass_phrase_with_a_number_is_found_whole(frame: str, phrase: str) -> None:
    assert found(frame.format(phrase)) == [phrase]


def test_a_pass_phrase_is_found_by_its_key() -> None:
    body = {"password": PHRASES[0], "JWT_SECRET": "correct horse battery staple"}
    assert REDACTOR.redact(body).body == {"password": "SECRET1", "JWT_SECRET": "SECRET2"}
    assert PHRASES[0] not in json.dumps(REDACTOR.redact({"arguments": json.dumps(body)}).body)


@pytest.mark.parametrize("name", ["JWT_SECRET", "DB_PASSWORD", "APP_PASSPHRASE"])
def test_plain_words_are_a_pass_phrase_where_an_environment_file_sets_them(name: str) -> None:
    assert found(f'{name}="correct horse battery staple"') == ["correct horse battery staple"]
    assert found(f'{name.lower()} = "correct horse battery staple"') == []


@pytest.mark.parametrize(
    "text",
    [
        'password: "must be at least 8 characters"', '"password": "Please enter your password"',
        '{"password": "Passwort (min. 12 Zeichen)"}', '{"password": "Password must have 12 characters"}',
        '{"confirm_password": "Repeat 12 times"}', '{"password": "Neues Passwort"}', '"password": "Choose one!"',
        'ERR_WRONG_PASSWORD="try other words"', 'PASSWORD_HELP="12 characters or more"', 'password="two words"',
        'the password is "too short (12 characters)!"', 'LOGIN_PASSWORD="wrong user name given"',
        '"password": "Mot de passe (12 caractères)"', 'password: "SHA 256"', 'secret: "one of 15 secrets in here"',
    ],
)  # fmt: skip
def test_what_forms_and_help_texts_say_of_a_password_is_left(text: str) -> None:
    assert found(text) == []
    assert not text.startswith("{") or REDACTOR.redact(json.loads(text)).body == json.loads(text)


@pytest.mark.parametrize(
    ("frame", "secret"),
    [
        ("API_KEY={}", "Kirsche77"),
 ("MY_SECRET={}", "Kirsche77"), ("JWT_SECRET={}", "kirsche77"),
        ("x-api-key: {}", "live_88271hdk"), ("api-key: {}", "kd93-kslq-02zz"), ('apiKey: "{}"', "kd93-kslq-02zz"),
        ("API key: {}", "KD93-KSLQ-02ZZ-81XX"), ("<secret>{}</secret>", "Kirsche77"),
        ('{{name: API_KEY, value: "{}"}}', "a1b2-c3d4-e5f6"), ("ansible_become_pass: {}", "becomeMe"),
        ("requirepass {}", "Kirsche77"), ("bind_pw {}", "Kirsche77"), ("Le mot de passe c'est {}", "Kirsche77"),
        ("Das Passwort, es heißt jetzt {}", "Kirsche77"),
    ],
)  # fmt: skip
def test_a_simple_value_is_found_by_a_name_that_promises_one(frame: str, secret: str) -> None:
    assert found(frame.format(secret)) == [secret]


@pytest.mark.parametrize(
    "text",
    [
        "secretName: app-secret-12", "secret: web-1-tls", "token = user_token12", "apiKey: config22", "API_KEY=token12",
        "key: prod-db-2", "API_KEY = CONFIG22", "<secret>secret12</secret>", "API key: see chapter-12",
        "requirepass directive", "ansible_become_pass: '{{ vault_pass }}'", "us-east-1 key: eu-west-2-prod-10",
    ],
)  # fmt: skip
def test_names_and_words_in_the_place_of_a_key_are_left(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "frame", ["aws access key {0} secret {1}", "{0}:{1}", "{0},{1}", "{1},{0}", "id {0}\nand {1}\n"]
)
def test_the_secret_of_an_aws_key_is_found_beside_its_id(frame: str) -> None:
    rng = random.Random(frame)
    for _ in range(20):
        name = "AK" + "IA" + "".join(rng.choices(string.ascii_uppercase + "234567", k=16))
        letters = rng.choices(string.ascii_letters + string.digits, k=36)
        secret = "".join([*letters[:9], "/", *letters[9:20], "+", *letters[20:], "7K"])
        left = frame.format(name, secret)
        for span in reversed(find_spans(left, DETECTORS)):
            left = left[: span.start] + left[span.end :]
        assert left == frame.format("", "")


def test_hashes_and_paths_beside_an_aws_key_are_left() -> None:
    name = "AK" + "IA" + "Q3EGRT7LMX5WZN4D"
    for other in ("9fceb02d0ae598e95dc970b74767f19372d61af8", "src/Main/java/com/acme/Items4/ItemService"):
        assert found(f"{name} in {other}") == [name]


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ('CREATE USER ann IDENTIFIED BY "kirsche";', ["kirsche"]),
        ("ALTER USER ann IDENTIFIED WITH mysql_native_password BY 'Kirsche77';", ["Kirsche77"]),
        ("SET PASSWORD FOR 'ann'@'db' = PASSWORD('kirsche');", ["kirsche"]),
        ("ALTER ROLE ann WITH LOGIN PASSWORD 'kirsche';", ["kirsche"]),
        ("create user ann\n  with encrypted password 'kirsche';", ["kirsche"]),
        (
            "INSERT INTO users (name, password, city) VALUES ('ann', 'kirsche', 'Rom'), ('bob', 'Apfel, 12', 'Bonn');",
            ["kirsche", "Apfel, 12"],
        ),
        (
            "insert into `u` (`id`, `api_key`)\nvalues\n  (1, 'kd93-kslq'),\n  (2, 'o''x,99k');",
            ["kd93-kslq", "o''x,99k"],
        ),
        ("INSERT INTO u (name, token) VALUES ('ann', 'x', 'y'), ('ann', 'pending')", []),
        ("INSERT INTO u (name, password) VALUES (?, ?), ($1, $2), (:name, :password), (%s, NULL)", []),
        ("INSERT INTO u (name, password_hash) VALUES ('ann', 'kirsche12')", []),
        ("CREATE USER ann PASSWORD NULL; ALTER TABLE users ADD password 'kirsche'; select PASSWORD('?')", []),
        ("He was identified by 'Anna' and inserted into the (password, name) values 'list'", []),
        ("create user form: type a password 'of 12 letters'", []),
        ("INSERT OR REPLACE INTO u (name, pwd) VALUES (N'ann', N'kirsche')", ["kirsche"]),
        ("grant all on db.* to ann identified by 'Kirsche77'", ["Kirsche77"]),
    ],
)
def test_statements_of_sql_give_their_passwords_away(text: str, secrets: list[str]) -> None:
    assert found(text) == secrets


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Lena,+49 170 8845123,Berlin", ["+49 170 8845123"]),
        ("Lena,+49 170 8845123,10115,Berlin", ["+49 170 8845123"]),
        ("name,phone,city\nAnna,+48 601 234 567,Rom\nPia,0039 06 698 82,Rom\n", ["+48 601 234 567", "0039 06 698 82"]),
        ("INSERT INTO t VALUES (7,+491708845123,2)", ["+491708845123"]),
        ("my number is 49405551", ["49405551"]),
        ("Order number 49405551, order_number: 49405551, ticket number 4940555123", []),
        ("[1,+2000000,3] @@ -1,7 +1,70 @@ a,+49170884 1,00000001", []),
    ],
)
def test_telephones_are_found_in_the_rows_of_a_table_and_no_number_of_an_order(text: str, numbers: list[str]) -> None:
    assert found(text) == numbers


def test_an_address_that_a_url_escapes_is_found_and_no_file_is_one() -> None:
    assert found("mailto:lena%40kanzlei-feld.de?subject=x") == ["lena%40kanzlei-feld.de"]
    for text in (
        "logo@2x.png",
        "url(icon@2x.png)",
        'srcset="logo@3x.jpg 3x"',
        "a@1.5x.webp",
        "x%40s.log",
        "pkg:npm/%40a/b",
    ):
        assert found(text) == []
    assert found("lena@kanzlei-feld.de.pdf") == ["lena@kanzlei-feld.de.pdf"]


def test_public_resolvers_are_left_and_their_neighbours_are_not() -> None:
    assert found("dns 8.8.8.8, 2001:4860:4860::8888, 2001:4860:4860:0:0:0:0:8844 and 2620:fe::fe") == []
    assert found("dns 2001:4860:4860::8889") == ["2001:4860:4860::8889"]
