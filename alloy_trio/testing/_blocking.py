"""No request leaves this machine: a block in which connections to other machines are refused.

It is the sockets that are watched and not the providers, so that a tool, a library or an HTTP client of the user's is
met too. Names are refused before they are looked up: where there is no network the error would be the resolver's.
Only Python's own sockets are seen, which all of trio, asyncio, httpx and ssl are made of; child processes and libraries
written in C go their own ways.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from alloy_trio.values import ConfigurationError

_WATCHED = ("connect", "connect_ex", "sendto")
_lock = threading.Lock()
_active: list[Blocking] = []
"""The blocks that are open, the one that was entered last at the end: it decides."""

_getaddrinfo = socket.getaddrinfo


class BlockedRequest(ConfigurationError):
    """Something was about to talk to another machine inside of :func:`block_real_requests`; nothing was sent."""


class Blocking:
    """What :func:`block_real_requests` gives.

    Attributes:
        attempts: what was refused, as ``"host:port"``, also where somebody swallowed the error.
    """

    def __init__(self, allow: Iterable[str]) -> None:
        self.attempts: list[str] = []
        self._allowed = {_checked(place) for place in allow}
        # Whoever is told to use a proxy on this machine talks to the world through it.
        self._proxies = set(_proxies())

    def admits(self, host: str, port: int | str | None) -> bool:
        """Whether something may be sent there."""
        places = {host, f"{host}:{port}"}
        if places & self._allowed:
            return True
        return _is_local(host) and f"{host}:{port}" not in self._proxies

    def learn(self, found: Iterable[Any]) -> None:
        """Admit what an admitted name stands for."""
        self._allowed.update(str(address[0]) for *_, address in found)

    def refuse(self, host: str, port: int | str | None) -> BlockedRequest:
        """The error for an attempt to reach a place."""
        place = host if port in (None, 0, "") else f"{host}:{port}"
        self.attempts.append(place)
        proxy = " (it is a proxy that the environment names)" if place in self._proxies else ""
        return BlockedRequest(
            f"a real request to {place}{proxy} was blocked: this runs inside of block_real_requests(), as tests that"
            " use the kit's fixtures do. Let Scripted(…), replay(…) or a replay server answer instead, or allow it:"
            f" block_real_requests(allow=[{host!r}]), in pytest @pytest.mark.alloy_real_requests"
        )


@contextmanager
def block_real_requests(*, allow: Iterable[str] = ()) -> Iterator[Blocking]:
    """Refuse connections to other machines during the block, in all threads of the process.

    This machine's own (loopback addresses, ``localhost``, Unix sockets) are open, except for proxies that the
    environment names (``HTTPS_PROXY``, …). Blocks nest: the one that was entered last decides. After the last one is
    left, sockets are as they were.

    Args:
        allow: hosts that may be reached, as ``"example.org"``, ``"10.0.0.7"`` or ``"127.0.0.1:3128"``.

    Raises:
        BlockedRequest: inside of the block, whoever tries; it says what was blocked and what to do. It is no
            RemoteError, so that nothing is tried again or elsewhere because of it.
        ConfigurationError: ``allow`` cannot be used.
    """
    if isinstance(allow, str | bytes):
        raise ConfigurationError(f"allow={allow!r} must be a sequence of hosts; write allow=[{allow!r}]")
    blocking = Blocking(allow)
    with _lock:
        if not _active:
            _install()
        _active.append(blocking)
    try:
        yield blocking
    finally:
        with _lock:
            _active.remove(blocking)
            if not _active:
                _uninstall()


def _install() -> None:
    global _getaddrinfo
    _getaddrinfo = socket.getaddrinfo
    socket.getaddrinfo = _looking_up
    for name in _WATCHED:
        setattr(socket.socket, name, _watched(name))


def _uninstall() -> None:
    socket.getaddrinfo = _getaddrinfo
    for name in _WATCHED:
        delattr(socket.socket, name)  # what is below it, in C, is seen again


def _watched(name: str) -> Any:
    def method(self: socket.socket, *args: Any) -> Any:
        address = args[-1] if args else None
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and address:
            _check(str(address[0]), address[1] if len(address) > 1 else None)
        return getattr(super(socket.socket, self), name)(*args)

    method.__name__ = name
    return method


def _looking_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not name:
        return _getaddrinfo(host, port, *args, **kwargs)
    blocking = _check(str(name), port)
    found = _getaddrinfo(host, port, *args, **kwargs)
    if blocking is not None:
        blocking.learn(found)
    return found


def _check(host: str, port: int | str | None) -> Blocking | None:
    """Raise if the place may not be reached; returns who decided."""
    with _lock:
        blocking = _active[-1] if _active else None
    if blocking is not None and not blocking.admits(host, port):
        raise blocking.refuse(host, port)
    return blocking


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or address.is_unspecified or (mapped is not None and mapped.is_loopback)


def _proxies() -> Iterator[str]:
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy" and value:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            if parts.hostname:
                for host in (parts.hostname, *(("127.0.0.1", "::1") if _is_local(parts.hostname) else ())):
                    yield f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _checked(place: object) -> str:
    if not isinstance(place, str) or not place or "/" in place:
        raise ConfigurationError(
            f"allow has {place!r}; write a host as 'example.org', or with its port as '127.0.0.1:3128'"
        )
    return place
