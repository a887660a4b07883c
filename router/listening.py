"""The daemon's own socket: where it may listen, and by what right."""

from __future__ import annotations

import errno
import socket

from registry.errors import ConfigError, ConflictError
from registry.settings import DaemonSettings
from router.origins import is_loopback

BACKLOG = 512


def bind(settings: DaemonSettings, *, guarded: bool = False) -> socket.socket:
    """Return a socket that listens on the configured address, which is loopback unless tokens guard it.

    Raises:
        ConfigError: the address is no address, or not loopback and nothing guards it.
        ConflictError: the port is taken.

    """
    host = "127.0.0.1" if settings.host == "localhost" else settings.host
    if not is_loopback(host) and not guarded:
        raise ConfigError(
            f"daemon.host {host!r} is not loopback, where everybody could ask; "
            "make a token first, with `modelbreeder token add NAME`, or listen on 127.0.0.1"
        )
    if not is_loopback(host) and not settings.tls_cert and not settings.behind_proxy:
        raise ConfigError(
            f"daemon.host {host!r} is not loopback, where prompts and tokens would travel as they are; set "
            "daemon.tls_cert and daemon.tls_key, or daemon.behind_proxy = true where a proxy speaks TLS for it"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            taken = f"port {settings.port} on {host} is taken; stop the other daemon or set daemon.port"
            raise ConflictError(taken) from error
        raise ConfigError(f"cannot listen on {host}:{settings.port}: {error}; set daemon.port") from error
    return listener


def check_tls(settings: DaemonSettings) -> None:
    """Raise ConfigError where TLS is asked for and its files cannot be used."""
    if settings.tls_cert is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        pair = f"daemon.tls_cert {settings.tls_cert} and daemon.tls_key {settings.tls_key}"
        raise ConfigError(f"{pair} cannot be used: {error}; give PEM files of one pair, without password") from error
