"""Secrets of vendors that no rule names, and everyday text full of random-looking words, made by their public formats.

Nothing here reads the rules under test, and a vendor's own rule is off where it is measured: what is found is found by
structure. The rules were mended by what this set showed; `redaction_held_out` was made after them. Each line is made at
run time, so that no file holds what looks like a key.
"""

# ruff: noqa: E501, Q003 - a line of a file is read best in one line, with its own quotes

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Mapping
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Final

Maker = Callable[[random.Random], str]

ALNUM: Final = ascii_letters + digits
LOWER: Final = ascii_lowercase + digits
UPPER: Final = ascii_uppercase + digits
URL64: Final = ALNUM + "-_"
B64: Final = ALNUM + "+/"
HEX: Final = "0123456789abcdef"
B58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
B32: Final = ascii_uppercase + "234567"


def some(rng: random.Random, alphabet: str, count: int) -> str:
    """Return `count` characters."""
    return "".join(rng.choices(alphabet, k=count))


def uuid(rng: random.Random) -> str:
    """Return a UUID."""
    return "-".join(some(rng, HEX, size) for size in (8, 4, 4, 4, 12))


def of_prefix(prefix: str, alphabet: str, *sizes: int, between: str = "-") -> Maker:
    return lambda rng: prefix + between.join(some(rng, alphabet, size) for size in sizes)


def base64_of(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size)).decode()


def password_of(rng: random.Random) -> str:
    return some(rng, ALNUM, 6) + rng.choice("!#%*+?") + some(rng, ALNUM, 5)


def _user_and_password(rng: random.Random) -> str:
    return base64.b64encode(f"deploy:{password_of(rng)}".encode()).decode()


# Keys that their vendor's shape gives away, in any surroundings.
SHAPED: Final[Mapping[str, Maker]] = {
    "rubygems": of_prefix("rubygems_", HEX, 48),
    "terraform cloud": lambda r: f"{some(r, ALNUM, 14)}.atlasv1.{some(r, URL64, 66)}",
    "pulumi": of_prefix("pul-", HEX, 40),
    "prefect": of_prefix("pnu_", ALNUM, 36),
    "posthog": of_prefix("phx_", ALNUM, 43),
    "new relic user": of_prefix("NRAK-", UPPER, 27),
    "new relic insights": of_prefix("NRII-", URL64, 32),
    "mailgun": of_prefix("key-", HEX, 32),
    "square": of_prefix("sq0csp-", URL64, 43),
    "shippo": of_prefix("shippo_live_", HEX, 40),
    "duffel": of_prefix("duffel_live_", URL64, 43),
    "frame.io": of_prefix("fio-u-", URL64, 64),
    "postman": lambda r: f"PMAK-{some(r, HEX, 24)}-{some(r, HEX, 34)}",
    "readme": of_prefix("rdme_", LOWER, 70),
    "typeform": of_prefix("tfp_", URL64, 59),
    "contentful": of_prefix("CFPAT-", URL64, 43),
    "adafruit": of_prefix("aio_", ALNUM, 28),
    "clojars": of_prefix("CLOJARS_", HEX, 60),
    "infracost": of_prefix("ico-", ALNUM, 32),
    "flutterwave": lambda r: f"FLWSECK-{some(r, HEX, 32)}-X",
    "discord bot": lambda r: f"M{some(r, ALNUM, 25)}.{some(r, URL64, 6)}.{some(r, URL64, 38)}",
    "elevenlabs": of_prefix("sk_", HEX, 48),
    "runpod": of_prefix("rpa_", UPPER, 44),
    "anyscale": of_prefix("esecret_", LOWER, 26),
    "modal": of_prefix("as-", ALNUM, 22),
    "resend": of_prefix("re_", ALNUM, 8, 24, between="_"),
    "plaid": lambda r: f"access-production-{uuid(r)}",
    "braintree": lambda r: f"access_token$production${some(r, LOWER, 16)}${some(r, HEX, 32)}",
    "launchdarkly": lambda r: f"sdk-{uuid(r)}",
    "buildkite": of_prefix("bkua_", HEX, 40),
    "circleci": lambda r: f"CCIPAT_{some(r, ALNUM, 22)}_{some(r, HEX, 40)}",
    "sonarqube": of_prefix("squ_", HEX, 40),
    "nuget": of_prefix("oy2", LOWER, 43),
    "crates.io": of_prefix("cio", ALNUM, 32),
    "hubspot": lambda r: f"pat-na1-{uuid(r)}",
    "dropbox": of_prefix("sl.", URL64, 135),
    "clickup": lambda r: f"pk_{some(r, digits, 8)}_{some(r, UPPER, 32)}",
    "akamai": of_prefix("akab-", LOWER, 16, 16),
    "render": of_prefix("rnd_", ALNUM, 28),
    "xata": of_prefix("xau_", ALNUM, 40),
    "unkey": of_prefix("unkey_", ALNUM, 22),
    "dub": of_prefix("dub_", ALNUM, 24),
    "inngest": of_prefix("signkey-prod-", HEX, 64),
    "trigger.dev": of_prefix("tr_prod_", ALNUM, 20),
    "paddle": lambda r: f"pdl_live_apikey_{some(r, LOWER, 26)}_{some(r, ALNUM, 22)}_{some(r, ALNUM, 3)}",
    "mollie": of_prefix("live_", ALNUM, 30),
    "stytch": lambda r: f"secret-live-{some(r, URL64, 32)}=",
    "persona": lambda r: f"persona_production_{uuid(r)}",
    "sanity": of_prefix("sk", ALNUM, 180),
    "mapbox": lambda r: "sk.eyJ1Ijoi" + some(r, ALNUM, 70) + "." + some(r, URL64, 22),
    "bitcoin master key": of_prefix("xprv9s21ZrQH143K", B58, 95),
    "cloudinary": lambda r: f"cloudinary://{some(r, digits, 15)}:{some(r, URL64, 27)}@acme",
    "discord webhook": lambda r: f"https://discord.com/api/webhooks/{some(r, digits, 18)}/{some(r, URL64, 68)}",
    "zapier webhook": lambda r: f"https://hooks.zapier.com/hooks/catch/{some(r, digits, 7)}/{some(r, LOWER, 7)}/",
    "teams webhook": lambda r: (
        f"https://acme.webhook.office.com/webhookb2/{uuid(r)}@{uuid(r)}/IncomingWebhook/{some(r, HEX, 32)}/{uuid(r)}"
    ),
}
AROUND: Final = (
    "{}",
    "why does {} not work?",
    "export VALUE={}",
    '    client = Client("{}")',
    '{{"v": "{}"}}',
    "curl https://api.test/v1 -H 'X-Auth: {}'",
    "- {}  # rotate\n- other",
)

# Lines of files, headers and commands: `{}` is what must not leave, and only the rest of the line gives it away.
NAMED: Final[Mapping[str, tuple[str, Maker]]] = {
    "algolia": ('ALGOLIA_ADMIN_KEY="{}"', lambda r: some(r, HEX, 32)),
    "cohere": ("CO_API_KEY={}", lambda r: some(r, ALNUM, 40)),
    "mistral": ("MISTRAL_API_KEY: {}", lambda r: some(r, ALNUM, 32)),
    "deepgram": ('const deepgramApiKey = "{}";', lambda r: some(r, HEX, 40)),
    "exa": ("EXA_API_KEY={}", uuid),
    "datadog": ("DD_API_KEY={}", lambda r: some(r, HEX, 32)),
    "postmark": ("X-Postmark-Server-Token: {}", uuid),
    "consul": ('-H "X-Consul-Token: {}"', uuid),
    "okta": ("Authorization: SSWS {}", lambda r: "00" + some(r, URL64, 40)),
    "elastic": ("Authorization: ApiKey {}", lambda r: base64_of(r, 45)),
    "auth0": ("AUTH0_CLIENT_SECRET={}", lambda r: some(r, URL64, 64)),
    "paypal": ("paypal.client.secret={}", lambda r: "E" + some(r, URL64, 79)),
    "codecov": ("CODECOV_TOKEN={}", uuid),
    "ngrok": ("ngrok config add-authtoken {}", lambda r: f"2{some(r, ALNUM, 26)}_{some(r, ALNUM, 20)}"),
    "azure storage": ("DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={}", lambda r: base64_of(r, 64)),
    "azure sas": ("https://acme.blob.core.windows.net/c/f?sv=2022-11-02&sr=b&sig={}", lambda r: some(r, ALNUM, 41) + "%2Bk%3D"),
    "aws session": ("AWS_SESSION_TOKEN={}", lambda r: "FwoGZXIvYXdzE" + some(r, B64, 320)),
    "service bus": ("Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={}", lambda r: base64_of(r, 32)),
    "sql server": ("Server=db;Database=app;User Id=sa;Password={};Encrypt=true", password_of),
    "jdbc": ("jdbc:sqlserver://db:1433;databaseName=app;user=sa;password={}", password_of),
    "spring": ("spring.datasource.password={}", password_of),
    "netrc": ("machine api.test login deploy password {}", password_of),
    "npmrc": ("//registry.test/:_authToken={}", lambda r: some(r, ALNUM, 40)),
    "pgpassword": ("PGPASSWORD={} psql -h db -U app", password_of),
    "password option": ("mysqldump --user=root --password={} app > a.sql", password_of),
    "password option, spaced": ("docker login -u deploy --password {} registry.test", password_of),
    "sshpass": ("sshpass -p '{}' ssh deploy@10.0.0.4", password_of),
    "docker config": ('{{"auths": {{"registry.test": {{"auth": "{}"}}}}}}', _user_and_password),
    "kubernetes secret": ("data:\n  db-password: {}", lambda r: base64.b64encode(password_of(r).encode()).decode()),
    "wireguard": ("[Interface]\nPrivateKey = {}", lambda r: base64_of(r, 32)),
    "ethereum": ('PRIVATE_KEY="0x{}"', lambda r: some(r, HEX, 64)),
    "django": ("SECRET_KEY = 'django-insecure-{}'", lambda r: some(r, LOWER + "!@#$%^&*(-_=+)", 50)),
    "rails": ("secret_key_base: {}", lambda r: some(r, HEX, 128)),
    "flask": ("app.secret_key = b'{}'", lambda r: some(r, ALNUM + "_!", 20)),
    "totp": ("otpauth://totp/ACME:ann?secret={}&issuer=ACME", lambda r: some(r, B32, 32)),
    "query": ("GET /v1/items?api_key={}&page=2", lambda r: some(r, HEX, 32)),
    "header dictionary": ("headers={{'x-api-key': '{}'}}", lambda r: some(r, ALNUM, 40)),
    "camel case": ("  accessToken: '{}',", lambda r: some(r, URL64, 36)),
    "env file, quoted": ('export STRIPE_WEBHOOK_SIGNING_SECRET="{}"', lambda r: some(r, ALNUM, 32)),
    "terraform variable": ('variable "db_password" {{ default = "{}" }}', password_of),
    "yaml, nested": ("database:\n  username: app\n  password: '{}'\n", password_of),
    "xml": ("<add key=\"ApiKey\" value=\"{}\" />", lambda r: some(r, ALNUM, 32)),
    "xml element": ("<password>{}</password>", password_of),
    "ini": ("[client]\nuser=root\npassword={}", password_of),
    "prose": ("I used the password {} and still get 401", password_of),
    "prose, german": ("Das Passwort lautet {} und gilt bis morgen", password_of),
    "prose, spanish": ("la contraseña es {} por si acaso", password_of),
    "prose, french": ("le mot de passe est {} pour le serveur", password_of),
    "chat": ("login: ann / pw: {}", password_of),
    "php": ("define('DB_PASSWORD', '{}');", password_of),
    "rust": ('let api_key: &str = "{}";', lambda r: some(r, ALNUM, 32)),
    "java": ('private static final String API_SECRET = "{}";', lambda r: some(r, ALNUM, 32)),
    "csharp": ('["Jwt:SigningKey"] = "{}"', lambda r: some(r, ALNUM, 48)),
    "powershell": ('$env:AZURE_CLIENT_SECRET = "{}"', lambda r: some(r, ALNUM + "~._-", 38)),
    "dockerfile": ("ENV NPM_AUTH_TOKEN {}", lambda r: some(r, ALNUM, 36)),
}  # fmt: skip


def _ulid(rng: random.Random) -> str:
    return "01J" + some(rng, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 23)


# Everyday text, by what it is of. None of it is a secret.
BENIGN: Final[Mapping[str, Maker]] = {
    "package-lock": lambda r: f'      "resolved": "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz",\n      "integrity": "sha512-{base64_of(r, 64)}"',
    "pnpm-lock": lambda r: f"  /ms@2.1.3:\n    resolution: {{integrity: sha512-{base64_of(r, 64)}}}",
    "yarn.lock": lambda r: f'  resolved "https://registry.yarnpkg.com/ms/-/ms-2.1.3.tgz#{some(r, HEX, 40)}"\n  integrity sha1-{base64_of(r, 20)}',
    "yarn berry": lambda r: f"  checksum: 10c0/{some(r, HEX, 128)}",
    "cargo.lock": lambda r: f'name = "serde"\nversion = "1.0.210"\nchecksum = "{some(r, HEX, 64)}"',
    "go.sum": lambda r: f"github.com/pkg/errors v0.9.1 h1:{base64_of(r, 32)}\ngithub.com/x/y v0.0.0-20231005{some(r, digits, 6)}-{some(r, HEX, 12)}/go.mod h1:{base64_of(r, 32)}",
    "poetry.lock": lambda r: f'    {{file = "idna-3.7-py3-none-any.whl", hash = "sha256:{some(r, HEX, 64)}"}},',
    "uv.lock": lambda r: f'sdist = {{ url = "https://files.pythonhosted.org/packages/{some(r, HEX, 2)}/{some(r, HEX, 2)}/{some(r, HEX, 60)}/idna-3.7.tar.gz", hash = "sha256:{some(r, HEX, 64)}", size = 189575 }}',
    "requirements": lambda r: f"idna==3.7 \\\n    --hash=sha256:{some(r, HEX, 64)}",
    "gemfile.lock": lambda r: f"  revision: {some(r, HEX, 40)}\n  rake (13.2.1) sha256={some(r, HEX, 64)}",
    "composer.lock": lambda r: f'            "reference": "{some(r, HEX, 40)}",\n    "content-hash": "{some(r, HEX, 32)}",',
    "nix": lambda r: f'  hash = "sha256-{base64_of(r, 32)}";\n  /nix/store/{some(r, LOWER, 32)}-glibc-2.39',
    "git log": lambda r: f"commit {some(r, HEX, 40)} (HEAD -> main)\nMerge: {some(r, HEX, 7)} {some(r, HEX, 7)}",
    "git diff": lambda r: f"diff --git a/x.py b/x.py\nindex {some(r, HEX, 10)}..{some(r, HEX, 10)} 100644",
    "git reflog": lambda r: f"{some(r, HEX, 8)} HEAD@{{2}}: rebase (pick): Add token bucket",
    "git submodule": lambda r: f" {some(r, HEX, 40)} vendor/lib (v1.2-3-g{some(r, HEX, 7)})",
    "sri": lambda r: f'<script src="/a.js" integrity="sha384-{base64_of(r, 48)}" crossorigin="anonymous"></script>',
    "csp nonce": lambda r: f"Content-Security-Policy: script-src 'nonce-{base64_of(r, 16)}' 'sha256-{base64_of(r, 32)}'",
    "docker digest": lambda r: f"docker pull ghcr.io/acme/app@sha256:{some(r, HEX, 64)}",
    "docker ps": lambda r: f"{some(r, HEX, 12)}   postgres:16   \"docker-entrypoint.s…\"   Up 3 hours",
    "kubernetes pods": lambda r: f"web-{some(r, 'bcdfghjklmnpqrstvwxz2456789', 10)}-{some(r, 'bcdfghjklmnpqrstvwxz2456789', 5)}   1/1   Running   0   3d",
    "kubernetes ids": lambda r: f"  uid: {uuid(r)}\n  resourceVersion: \"{some(r, digits, 9)}\"",
    "trace parent": lambda r: f"traceparent: 00-{some(r, HEX, 32)}-{some(r, HEX, 16)}-01",
    "span ids": lambda r: f"trace_id={some(r, HEX, 32)} span_id={some(r, HEX, 16)} request_id={uuid(r)}",
    "x-ray": lambda r: f"X-Amzn-Trace-Id: Root=1-{some(r, HEX, 8)}-{some(r, HEX, 24)}",
    "ulids": lambda r: f"order {_ulid(r)} follows {_ulid(r)}",
    "mongo ids": lambda r: f'{{"_id": {{"$oid": "{some(r, HEX, 24)}"}}}}',
    "cloud ids": lambda r: f"i-0{some(r, HEX, 16)} in vpc-0{some(r, HEX, 16)}, subnet-0{some(r, HEX, 16)}, sg-0{some(r, HEX, 16)}",
    "arn": lambda r: f"arn:aws:lambda:eu-west-1:{some(r, digits, 12)}:function:resize-{some(r, UPPER, 12)}",
    "nanoid dom ids": lambda r: f'<div id="{some(r, URL64, 21)}" data-reactid=".{some(r, LOWER, 6)}"></div>',
    "radix ids": lambda r: f'<button id="radix-:r{some(r, LOWER, 2)}:" aria-controls="headlessui-menu-{some(r, digits, 2)}">',
    "css modules": lambda r: f".Button_root__{some(r, ALNUM, 5)} .css-{some(r, LOWER, 7)} {{ color: #{some(r, HEX, 6)} }}",
    "styled components": lambda r: f'<p class="sc-{some(r, ALNUM, 6)} {some(r, ascii_letters, 6)} _{some(r, LOWER, 5)}_{some(r, digits, 3)}">',
    "build files": lambda r: f"dist/assets/index-{some(r, URL64, 8)}.js  142.10 kB\ndist/assets/vendor.{some(r, HEX, 20)}.css",
    "base64 image": lambda r: f"background: url(data:image/png;base64,{base64_of(r, 300)})",
    "source map": lambda r: f'"mappings":"{";".join(",".join(some(r, B64, 4) for _ in range(6)) for _ in range(8))}"',
    "minified": lambda r: f'!function(e,t){{"use strict";var n=t({some(r, digits, 3)}),r=function(){{return e.{some(r, ascii_letters, 2)}.call(this,n)}};e.exports={{{some(r, ascii_letters, 1)}:r}}}}(this);',
    "uuid list": lambda r: "\n".join(uuid(r) for _ in range(4)),
    "uuid columns": lambda r: f"user_id,device\n{uuid(r)},{uuid(r)}",
    "ssh fingerprint": lambda r: f"ED25519 key fingerprint is SHA256:{base64_of(r, 32).rstrip('=')}.",
    "ssh public key": lambda r: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{base64_of(r, 33)[:43]} build",
    "known hosts": lambda r: f"|1|{base64_of(r, 20)}|{base64_of(r, 20)} ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ{base64_of(r, 270)}",
    "pgp public key": lambda r: f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{_lines(r, 5)}\n-----END PGP PUBLIC KEY BLOCK-----",
    "certificate": lambda r: f"-----BEGIN CERTIFICATE-----\n{_lines(r, 8)}\n-----END CERTIFICATE-----",
    "public key": lambda r: f"-----BEGIN PUBLIC KEY-----\n{_lines(r, 4)}\n-----END PUBLIC KEY-----",
    "jwk": lambda r: f'{{"kty":"RSA","kid":"{some(r, URL64, 27)}","use":"sig","n":"{some(r, URL64, 342)}","e":"AQAB"}}',
    "certificate facts": lambda r: f"Serial Number: {':'.join(some(r, HEX, 2) for _ in range(16))}\nSHA1 Fingerprint={':'.join(some(r, '0123456789ABCDEF', 2) for _ in range(20))}",
    "etag": lambda r: f'ETag: W/"{some(r, HEX, 32)}"\nX-Request-Id: {some(r, HEX, 32)}\nCF-Ray: {some(r, HEX, 16)}-FRA',
    "fixture": lambda r: f"def test_login(client):\n    assert client.post('/login', json={{'user': 'u{some(r, digits, 3)}', 'password': password}}).status_code == 200",
    "fixture names": lambda r: f"    token = make_token(user_id={some(r, digits, 4)}, expires_in=3600)\n    api_key = config['api_key']",
    "alembic": lambda r: f"revision = '{some(r, HEX, 12)}'\ndown_revision = '{some(r, HEX, 12)}'",
    "ipfs": lambda r: f"ipfs://Qm{some(r, B58, 44)}/metadata.json",
    "bitcoin block": lambda r: f"block 0000000000000000000{some(r, HEX, 45)} at height {some(r, digits, 6)}",
    "ethereum address": lambda r: f"tx 0x{some(r, HEX, 64)} to 0x{some(r, HEX, 40)}",
    "android": lambda r: f"E/AndroidRuntime( {some(r, digits, 4)}): at com.acme.app.MainActivity.onCreate(MainActivity.java:{some(r, digits, 2)}) @{some(r, HEX, 7)}",
    "mangled names": lambda r: f"_ZN4core3fmt9Formatter9write_str17h{some(r, HEX, 16)}E\n_ZNSt6vectorIiSaIiEE9push_backERKi",
    "youtube": lambda r: f"https://www.youtube.com/watch?v={some(r, URL64, 11)}&t=42s",
    "google doc": lambda r: f"https://docs.google.com/document/d/1{some(r, URL64, 43)}/edit",
    "figma link": lambda r: f"https://www.figma.com/file/{some(r, ALNUM, 22)}/Design?node-id=12-{some(r, digits, 4)}",
    "jupyter": lambda r: f'  "id": "{some(r, HEX, 8)}-{some(r, HEX, 4)}",\n  "image/png": "iVBORw0KGgo{base64_of(r, 240)}"',
    "checksums": lambda r: f"{some(r, HEX, 64)}  ubuntu-24.04.iso\nMD5 (a.tar.gz) = {some(r, HEX, 32)}",
    "openai ids": lambda r: f'{{"id": "chatcmpl-{some(r, ALNUM, 29)}", "system_fingerprint": "fp_{some(r, HEX, 10)}", "tool_call_id": "call_{some(r, ALNUM, 24)}"}}',
    "stripe ids": lambda r: f"cus_{some(r, ALNUM, 14)} paid pi_3{some(r, ALNUM, 23)} by pm_1{some(r, ALNUM, 23)}, see evt_1{some(r, ALNUM, 23)}",
    "slack ids": lambda r: f"channel C0{some(r, UPPER, 9)}, user U0{some(r, UPPER, 9)}, ts 1732190912.{some(r, digits, 6)}",
    "terraform plan": lambda r: f"  + ami = \"ami-0{some(r, HEX, 16)}\"\n  # aws_instance.web[0] will be created\n  + id = (known after apply)",
}  # fmt: skip


def _lines(rng: random.Random, count: int) -> str:
    return "\n".join(base64_of(rng, 48) for _ in range(count))


def secret_lines(
    rng: random.Random, each: int, shaped: Mapping[str, Maker], named: Mapping[str, tuple[str, Maker]]
) -> Iterator[tuple[str, str, str]]:
    """Yield (vendor or structure, line, secret): each vendor `each` times in other surroundings."""
    for name, make in shaped.items():
        for index in range(each):
            secret = make(rng)
            yield name, AROUND[index % len(AROUND)].format(secret), secret
    for name, (line, make) in named.items():
        for _ in range(each):
            secret = make(rng)
            yield name, line.format(secret), secret
