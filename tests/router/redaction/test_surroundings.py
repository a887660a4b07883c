"""Passwords that only what stands around them gives away: sentences, pairs, commands, blocks, tables, encodings.

The passwords are made as people make them and as machines do, the frames by what users write, not by the rules.
"""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.redaction.detectors import built_in_detectors, default_detectors, find_spans
from router.redaction.redactor import default_redactor
from router.redaction.scanning import MarkedDetectors
from router.redaction.spans import merge
from tests.router.redaction.telling_frames import LATER

DETECTORS = default_detectors()
BUILT_IN = built_in_detectors()
REDACTOR = default_redactor()

WORDS = ("Sommer", "Garten", "dragon", "Katze", "monkey", "Blume", "winter", "Berlin", "soleil", "perro", "Fenster")
_MADE_UP = st.tuples(st.sampled_from(WORDS), st.integers(10, 9999), st.sampled_from(["", "!", "#", "x", "?7"])).map(
    lambda parts: "".join(map(str, parts))
)
_SMALL, _FIGURES, _CAPITALS = "bcdghjnpqrswz", "23456789", "BCDFGHJKMNPQRSTVWXZ"


def _made(small: list[str], figures: list[str], capitals: list[str], sizes: tuple[int, int, int], sign: str) -> str:
    """Return a password of characters of which none comes twice: one again and again stands for a password."""
    first, second, third = sizes
    return "".join([*small[:first], *figures[:second], *capitals[:third], sign, *small[first : first + 3]])


_DRAWN = st.builds(
    _made,
    st.permutations(_SMALL),
    st.permutations(_FIGURES),
    st.permutations(_CAPITALS),
    st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(2, 4)),
    st.sampled_from(["", "#", "%", "+", "!", "*"]),
)
PASSWORDS = st.one_of(_MADE_UP, _DRAWN)

SENTENCES = (
    "Das Passwort für das Programm lautet {}",
    "Das Passwort für das Programm lautet: {}",
    "Passwort fürs WLAN ist {} und gilt bis Mai",
    "Das neue Kennwort vom Server war {}, glaube ich.",
    "Ich habe das Passwort auf {} geändert",
    "Mein PW ist {}",
    "WLAN-Passwort (Gäste): {}",
    "Passwort:\n{}\n",
    "password for the app is {}",
    "the password I set for the staging box was {} I think",
    "The admin password on db-01.internal is now {}.",
    "I changed the root password to {}",
    'use "ann" and the password "{}" to get in',
    "Password for bob@example.org: `{}`",
    "**Password:** {}",
    "password -> {}",
    "my passphrase's {}",
    "PW {}",
    "pw = {}",
    "le mot de passe du serveur est {}",
    "Voici le mot de passe : « {} »",
    "la contraseña del wifi es {}",
    "tu contraseña nueva es: {}",
    "la password del gestionale è {}",
    "het wachtwoord voor de router is {}",
    "a senha do banco de dados é {}",
    "lösenordet till servern är {}",
    "hasło do serwera to {}",
    "heslo je {}",
    "şifre: {}",
    "Пароль от сервера: {}",
    "мой новый пароль {}",
    "密码是{}\uff0c请保密",
    "用户名\uff1aann 密码\uff1a{}",
    "パスワードは「{}」です",
    "비밀번호는 {}",
    "पासवर्ड {} है",
    "كلمة المرور: {}",
    "Zugangsdaten: ann / {}",
    "login: ann@example.org / {}",
    "Benutzer/Passwort: ann/{}",
    "creds are ann:{}",
)

COMMANDS = (
    "mysql -u root -p{} app",
    "mysqldump -h db.internal -u root -p'{}' app > dump.sql",
    "mysql --password {} app",
    "sshpass -p {} ssh bob@host",
    "docker login -u bob -p {} registry.internal",
    "redis-cli -h cache.internal -a {} ping",
    "ldapsearch -x -D cn=admin -w {} -b dc=home",
    "sqlcmd -S db -U sa -P {}",
    "mongosh \\\n  -u root \\\n  -p {} app",
    "htpasswd -cbB .htpasswd bob {}",
    "net use Z: \\\\nas\\share /user:bob {}",
    "smbclient //nas/share -U bob%{}",
    "curl -u bob:{} https://api.example.org/items",
    'psql "host=db user=bob password={}"',
    "echo {} | sudo -S apt update",
    "echo '{}' | docker login -u bob --password-stdin",
    'echo "bob:{}" | chpasswd',
)

BLOCKS = (
    '{{"credentials": {{"user": "ann", "bob": "{}"}}}} is what I use',
    'conf = {{"password": {{"value": "{}"}}}}',
    "password:\n  value: {}\n",
    "credentials:\n  # of the shop\n  bob: {}\nport: 80\n",
    "passwords:\n  - {}\n",
    "CREDENTIALS = {{\n    'bob': '{}',\n}}",
    "| password | {} |",
    "| service | user | password |\n|---|---|---|\n| shop | - | - |\n| wiki | bob | {} |\n",
    "host,user,password\ndb1,ann,{}\n",
    "name\tKennwort\nann\t{}\n",
)

KEYED = (
    '{{"credentials": {{"bob": "{}"}}}}',
    '{{"password": {{"value": "{}"}}}}',
    '{{"passwords": ["Garten77", "{}"]}}',
    '{{"users": [{{"name": "ann", "pw": "{}"}}]}}',
    '{{"db_pw": "{}"}}',
    '{{"passphrase": "{}", "n": 1}}',
)


def left(text: str) -> str:
    """Return what masking leaves of a text."""
    masked = REDACTOR.redact({"input": text}).body["input"]
    assert isinstance(masked, str)
    return masked


def core(secret: str) -> str:
    """Return a secret without punctuation at its end, which may as well end the sentence."""
    return secret.rstrip("!?#")


@pytest.mark.parametrize("frame", [*SENTENCES, *COMMANDS, *BLOCKS, *LATER])
@settings(max_examples=8)
@given(secret=PASSWORDS)
def test_a_password_is_found_by_what_stands_around_it(frame: str, secret: str) -> None:
    assert core(secret) not in left(frame.format(secret))


@pytest.mark.parametrize("frame", [*SENTENCES[:18], '{{"password": "{}"}}', "mysql -u root -p'{}' app"])
@settings(max_examples=8)
@given(secret=PASSWORDS, at=st.integers(3, 5), sign=st.sampled_from("()[]{},;&>$^~-_:"))
def test_a_sign_that_elsewhere_ends_a_value_does_not_end_a_password(
    frame: str, secret: str, at: int, sign: str
) -> None:
    secret = secret[:at] + sign + secret[at:]
    assert core(secret)[at:] not in left(frame.format(secret))


@pytest.mark.parametrize("frame", KEYED)
@settings(max_examples=8)
@given(secret=PASSWORDS)
def test_a_password_is_found_by_its_key_and_those_around_it(frame: str, secret: str) -> None:
    text = frame.format(secret)
    assert core(secret) not in json.dumps(REDACTOR.redact({"input": json.loads(text)}).body)
    assert core(secret) not in json.dumps(REDACTOR.redact({"arguments": text}).body)


@pytest.mark.parametrize("around", ["{}", "see {} ok", '{{"blob": "{}"}}', "config={}&page=2"])
@settings(max_examples=8)
@given(
    secret=PASSWORDS,
    inner=st.sampled_from(["DB_HOST=db\nDB_PASSWORD={}\n", '{{"user": "ann", "password": "{}"}}', SENTENCES[0]]),
    encode=st.sampled_from(
        [base64.b64encode, base64.urlsafe_b64encode, lambda raw: base64.b64encode(raw).rstrip(b"=")]
    ),
)
def test_base64_of_a_text_with_a_password_goes_whole(around: str, secret: str, inner: str, encode: object) -> None:
    blob = encode(inner.format(secret).encode()).decode()  # type: ignore[operator]  # one of the three above
    assert blob.rstrip("=") not in left(around.format(blob))


@given(PASSWORDS, st.booleans())
def test_all_values_of_a_kubernetes_secret_are_found_and_none_of_a_config_map(secret: str, plain: bool) -> None:
    value = secret if plain else base64.b64encode(secret.encode()).decode()
    rows = f"{'stringData' if plain else 'data'}:\n  shop: {value}\nmetadata:\n  name: shop\n"
    assert value not in left(f"kind: Secret\n{rows}")
    assert value not in left(f"{rows}kind: Secret\n")
    assert f"shop: {value}" in left(f"kind: ConfigMap\n{rows}")


EVERYDAY = ("required", "hidden", "correct", "falsch", "abgelaufen", "obligatoire", "string", "None", "optional")
TERMS = (
    "SHA256", "bcrypt2", "UTF-8", "base64", "12ms", "8+", "24h", "2024-05-03", "10.0.0.1", "v1.2", "/etc/passwd",
    "HTML5",
)  # fmt: skip
SAID = (
    "the password for the app is {} here", "the password must be {} or so",
    "Passwort für das Programm ist {} oder so", "le mot de passe du serveur est {} ici",
    "la contraseña del servidor es {} hoy",
    "пароль от сервера {} всегда", "密码是{}吗", "login: ann / {} is what it shows", "| password | {} | yes |",
    "credentials:\n  kind: {}\n", "password -> {} today", "the passphrase I meant was {} then",
)  # fmt: skip


@pytest.mark.parametrize("frame", SAID)
@settings(max_examples=8)
@given(word=st.sampled_from([*EVERYDAY, *TERMS]))
def test_words_and_terms_in_the_place_of_a_password_are_left(frame: str, word: str) -> None:
    text = frame.format(word)
    assert find_spans(text, DETECTORS) == []


@pytest.mark.parametrize(
    "text",
    [
        "pw = getpass()", "pw = conv2d(x)", "pw: 320px", "password: string", "password: str | None = None",
        "the password is hashed with bcrypt2", "your password is at least 12 characters",
        "password = generate2(12)", "const { password: userPassword } = form;", "password: { type: String, min: 8 }",
        "credentials: 'same-origin',", "credentials: { username: string; password: string }",
        "login: admin / viewer", "last login: 2024-11-21 / 10.0.0.1", "login failed: error 0x80070005",
        "mysql -u root -p shop", "mysql -P3307 -h db1", "docker run -p 8080:80 nginx", "ssh -p 2222 bob@host",
        "redis-cli -a $REDIS_PASSWORD", "sshpass -p <password> ssh x",
        'sshpass -p "$PASS" ssh x', "unzip -P $PW a1.zip",
        'echo "$TOKEN" | docker login -u ann --password-stdin', 'echo "hello2 world" | sudo tee /etc/x',
        "net use Z: \\\\nas\\share2", "net user ann /add", "htpasswd -c .htpasswd ann",
        "| name | password | type2 |\n|---|---|---|\n| string | string | int32 |",
        "password,token,secret are redacted", "    secret: str,\n    port: int32,\n",
        "class UrlCredentials:\n    first2: int = 1\n", "Enter password:\nWelcome back\n", "PWD=/home/ann/x1",
        "пароль должен быть длиннее 8 символов", "密码长度必须为8到16位", "パスワードは8文字以上にしてください",
        base64.b64encode(b"nothing but an everyday sentence in here").decode(),
    ],
)  # fmt: skip
def test_code_and_prose_about_passwords_is_left(text: str) -> None:
    assert find_spans(text, DETECTORS) == []


def test_a_schema_that_names_a_password_is_left() -> None:
    password = {"type": "string", "description": "At least 12 characters"}
    body = {"password": password, "credentials": {"username": "ann1"}}
    assert REDACTOR.redact({"parameters": body}).body == {"parameters": body}


_PIECES = (
    "password is ", "login: a / ", "mysql -p", "| password |", "credentials: {", "kind: Secret\ndata:\n  a: ", "x1Y2z3",
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*_PIECES, " ", "\n", "é", "import os\n" * 40]), max_size=12))
def test_a_long_text_is_scanned_as_a_short_one(pieces: list[str]) -> None:
    text = "".join(pieces) + "\nreturn nothing" * 2_000
    alone = [span for detector in BUILT_IN for span in detector.find(text)]
    assert MarkedDetectors(BUILT_IN).find(text) == merge(alone)
