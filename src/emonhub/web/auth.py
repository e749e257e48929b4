"""Who may see and change what: a password for people, a token for programs, nothing more than this machine without.

    over the Unix socket      everything: the socket's owner is the hub's
    from loopback, where no password is set                         everything, but no foreign page's requests
    with the password (a session in a cookie), or with the token    everything
    anybody                   /health, /ready, the login page and what it is made of

A request that changes something needs, besides its cookie, the session's own CSRF token in the header X-CSRF-Token,
which no other site's page can know, and must not come from another site's page. Requests with the API's token come
from no browser and need neither.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from emonhub.config.model import WebConfig

COOKIE = "emonhub_session"
CSRF_HEADER = "X-CSRF-Token"

_SESSION_S = 14 * 86400.0
_SESSIONS = 1000
"""Sessions at once; the oldest end."""

_TRIES = 5
_TRIES_S = 300.0
"""Wrong passwords from one address within this time; then it must wait. The same for all addresses, ten times that."""

_ADDRESSES = 1000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Session:
    """A browser that may use the page."""

    csrf: str
    ends: float


@dataclass(slots=True)
class _Tries:
    times: list[float] = field(default_factory=list)

    def too_many(self, now: float, limit: int) -> bool:
        self.times = [time for time in self.times if time > now - _TRIES_S]
        return len(self.times) >= limit


class Auth:
    """Sessions and login attempts."""

    def __init__(self, config: Callable[[], WebConfig], monotonic: Callable[[], float]) -> None:
        self._config = config
        self._monotonic = monotonic
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._all_tries = _Tries()

    @property
    def needs_password(self) -> bool:
        """Whether people have to log in."""
        return bool(self._config().password)

    def log_in(self, password: str, address: str) -> str | None:
        """A new session's key for the cookie; None for a wrong password. Raises HTTPTooManyRequests."""
        now = self._monotonic()
        tries = self._tries.setdefault(address, _Tries())
        while len(self._tries) > _ADDRESSES:
            self._tries.popitem(last=False)
        if tries.too_many(now, _TRIES) or self._all_tries.too_many(now, 10 * _TRIES):
            raise web.HTTPTooManyRequests(
                text="too many wrong passwords: wait five minutes", headers={"Retry-After": str(int(_TRIES_S))}
            )
        right = self._config().password
        if not right or not hmac.compare_digest(password.encode(), right.encode()):
            tries.times.append(now)
            self._all_tries.times.append(now)
            return None
        self._tries.pop(address, None)
        return self.start_session()

    def start_session(self) -> str:
        """A new session's key."""
        key = secrets.token_urlsafe(32)
        self._sessions[key] = Session(secrets.token_urlsafe(32), self._monotonic() + _SESSION_S)
        while len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return key

    def log_out(self, key: str) -> None:
        """End a session."""
        self._sessions.pop(key, None)

    def end_all(self) -> None:
        """End every session: the password is another now."""
        self._sessions.clear()

    def session(self, request: web.Request) -> Session | None:
        """The session that a request belongs to."""
        found = self._sessions.get(request.cookies.get(COOKIE, ""))
        if found is None or found.ends < self._monotonic():
            return None
        return found

    def check(self, request: web.Request) -> None:
        """Let a request pass, or raise HTTPUnauthorized or HTTPForbidden."""
        if _over_unix_socket(request):
            return
        header = request.headers.get("Authorization", "")
        token = self._config().token
        if header:
            if token and hmac.compare_digest(header.encode(), f"Bearer {token}".encode()):
                return
            raise web.HTTPUnauthorized(text="this is not the API's token")
        self._check_host(request)
        session = self.session(request)
        if session is None and (self.needs_password or not _from_loopback(request)):
            raise web.HTTPUnauthorized(text="log in first")
        if request.method not in _SAFE:
            self.check_origin(request)
            given = request.headers.get(CSRF_HEADER, "")
            if session is None or not hmac.compare_digest(given.encode(), session.csrf.encode()):
                raise web.HTTPForbidden(text=f"the header {CSRF_HEADER} is missing or wrong: reload the page")

    def may(self, request: web.Request) -> bool:
        """Whether a request may see everything: still, or at all."""
        try:
            self.check(request)
        except web.HTTPException:
            return False
        return True

    @staticmethod
    def check_origin(request: web.Request) -> None:
        """Raise HTTPForbidden for what another site's page has a browser ask for."""
        origin = request.headers.get("Origin")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise web.HTTPForbidden(text="this comes from another site's page")
        # Behind a reverse proxy the browser's own idea of the site is in one of the two.
        ours = {request.host, request.headers.get("X-Forwarded-Host", request.host)}
        if origin is not None and origin.partition("://")[2] not in ours:
            raise web.HTTPForbidden(text="this comes from another site's page")

    def _check_host(self, request: web.Request) -> None:
        """Without a password, a name that somebody lets point to this machine must not get a foreign page in."""
        if self.needs_password:
            return
        host = (
            request.host.rsplit(":", 1)[0].strip("[]") if not request.host.endswith("]") else request.host.strip("[]")
        )
        if host == "localhost" or host == self._config().bind or _is_loopback(host):
            return
        raise web.HTTPForbidden(text="ask for it as http://localhost or http://127.0.0.1")


def may_listen_on(config: WebConfig) -> str:
    """Why the page can't be served on the configured address; empty when it can."""
    if config.password or config.bind == "localhost" or _is_loopback(config.bind):
        return ""
    return f"[web] bind = {config.bind} needs a password in [web]: until then the page is served on 127.0.0.1 only"


def _over_unix_socket(request: web.Request) -> bool:
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return isinstance(name, str | bytes)


def _from_loopback(request: web.Request) -> bool:
    return request.remote is not None and _is_loopback(request.remote)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
