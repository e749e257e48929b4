"""Who gets in, and what nobody gets: another site's pages, slow and rude clients, secrets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest

from emonhub.web import connections, server
from emonhub.web.api import endpoints
from tests.web.conftest import EMONCMS, RADIO, Client, Site, asking, configuration, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fakes.emoncms import FakeEmoncms

PASSWORD = "correct horse battery staple"
TOKEN = "8d1f9b2b-a-token-for-programs"
LOCKED = f"password = {PASSWORD}\ntoken = {TOKEN}\n"


@pytest.fixture
async def locked(tmp_path: Path, state: Path) -> AsyncIterator[Site]:
    """A hub whose page has a password, as it must beyond this machine."""
    text = configuration(state, RADIO.format(port=tmp_path / "tty"), web=f"bind = 0.0.0.0\n{LOCKED}")
    async with serving(tmp_path / "emonhub.conf", text) as site:
        yield site


def url(site: Site) -> str:
    return site.server.url.replace("0.0.0.0", "127.0.0.1")


async def status(session: aiohttp.ClientSession, method: str, where: str, **options: Any) -> int:
    async with session.request(method, where, allow_redirects=False, **options) as answer:
        return answer.status


async def log_in(session: aiohttp.ClientSession, site: Site, password: str = PASSWORD, **headers: str) -> int:
    return await status(session, "POST", f"{url(site)}/login", data={"password": password}, headers=headers)


async def csrf(session: aiohttp.ClientSession, site: Site) -> str:
    async with session.get(f"{url(site)}/api/v1/session") as answer:
        return str((await answer.json())["csrf"])


@pytest.fixture
async def stranger() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


class TestPassword:
    async def test_nothing_is_told_to_a_stranger(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        routes = [
            (e.method, e.path.format(source="a", node="1", name="x", id="1")) for e in endpoints(locked.server.site)
        ]
        assert len(routes) > 25
        for method, path in [*routes, ("GET", "/metrics"), ("GET", "/api/v1/none"), ("POST", "/")]:
            assert await status(stranger, method, url(locked) + path) == 401, path
        async with stranger.get(f"{url(locked)}/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/login")

    async def test_health_is_told_to_everybody_and_says_little(
        self, locked: Site, stranger: aiohttp.ClientSession
    ) -> None:
        await until(lambda: locked.hub.runners["RFM2Pi"].last_error, "the missing port")
        async with stranger.get(f"{url(locked)}/health") as answer:
            assert await answer.json() == {"status": "degraded", "reasons": 1}
        async with stranger.get(f"{url(locked)}/ready") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ready": False}
        async with stranger.get(f"{url(locked)}/health", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert (await answer.json())["complaints"][0].startswith("RFM2Pi is waiting: there is no ")

    async def test_the_right_password_opens_all(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        assert await log_in(stranger, locked) == 200
        (cookie,) = stranger.cookie_jar
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert await status(stranger, "GET", f"{url(locked)}/api/v1/overview") == 200
        headers = {"X-CSRF-Token": await csrf(stranger, locked)}
        assert await status(stranger, "POST", f"{url(locked)}/api/v1/logout", headers=headers) == 200
        assert await status(stranger, "GET", f"{url(locked)}/api/v1/overview") == 401

    async def test_after_five_wrong_ones_one_must_wait(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        assert [await log_in(stranger, locked, "guess") for _ in range(6)] == [401] * 5 + [429]
        assert await log_in(stranger, locked) == 429

    async def test_sessions_end_when_the_password_changes(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        await log_in(stranger, locked)
        locked.path.write_text(locked.path.read_text().replace(PASSWORD, "another one"))
        locked.hub.look_now()
        await until(lambda: locked.hub.configuration.web.password == "another one")
        await until(lambda: not locked.server.site.auth._sessions, "the end of the sessions")
        assert await status(stranger, "GET", f"{url(locked)}/api/v1/overview") == 401
        assert await log_in(stranger, locked) == 401
        assert await log_in(stranger, locked, "another one") == 200

    async def test_a_stream_ends_with_its_session(
        self, locked: Site, stranger: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emonhub.web.events._LOOK_S", 0.05)
        await log_in(stranger, locked)
        async with stranger.get(f"{url(locked)}/api/v1/events?topics=overview") as answer:
            assert (await answer.content.readline()).startswith(b"event: overview")
            locked.server.site.auth.end_all()
            async with asyncio.timeout(10):
                await answer.content.read()

    async def test_sessions_expire(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        await log_in(stranger, locked)
        for session in locked.server.site.auth._sessions.values():
            session.ends = locked.hub.world.monotonic() - 1
        assert await status(stranger, "GET", f"{url(locked)}/api/v1/overview") == 401

    async def test_without_one_nobody_else_is_let_in(self, tmp_path: Path, state: Path) -> None:
        async with serving(tmp_path / "emonhub.conf", configuration(state, web="bind = 0.0.0.0\n")) as site:
            assert site.server.url.startswith("http://127.0.0.1:")


class TestToken:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (f"Bearer {TOKEN}", 200),
            (f"Bearer {TOKEN} ", 200),
            ("Bearer ", 401),
            ("Bearer wrong", 401),
            (TOKEN, 401),
            (f"Basic {TOKEN}", 401),
            ("Bearer wröng", 401),
        ],
    )
    async def test_programs_show_it(
        self, locked: Site, stranger: aiohttp.ClientSession, header: str, expected: int
    ) -> None:
        headers = {"Authorization": header}
        assert await status(stranger, "GET", f"{url(locked)}/api/v1/overview", headers=headers) == expected

    async def test_programs_need_no_csrf_token(self, locked: Site, stranger: aiohttp.ClientSession) -> None:
        options = {"json": {"interfacer": "", "level": ""}, "headers": {"Authorization": f"Bearer {TOKEN}"}}
        assert await status(stranger, "PUT", f"{url(locked)}/api/v1/loglevel", **options) == 200

    async def test_an_empty_one_opens_nothing(self, tmp_path: Path, state: Path) -> None:
        web = f"password = {PASSWORD}\n"
        async with serving(tmp_path / "emonhub.conf", configuration(state, web=web)) as site, asking(site) as client:
            for header in ("Bearer ", "Bearer"):
                where = f"{url(site)}/api/v1/overview"
                assert await status(client.session, "GET", where, headers={"Authorization": header}) == 401


class TestOtherSites:
    async def test_what_changes_something_needs_the_sessions_token(self, site: Site, client: Client) -> None:
        body = {"interfacer": "", "level": "DEBUG"}
        client.headers["X-CSRF-Token"] = "another"
        await client.put("/loglevel", body, status=403)
        client.headers.clear()
        await client.put("/loglevel", body, status=403)
        await client.post("/reporters/emoncmsorg/pause", status=403)
        await client.begin()
        await client.put("/loglevel", {"interfacer": "", "level": ""})

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    async def test_their_pages_change_nothing(
        self, site: Site, client: Client, locked: Site, stranger: aiohttp.ClientSession, headers: dict[str, str]
    ) -> None:
        client.headers |= headers
        said = await client.put("/loglevel", {"interfacer": "", "level": ""}, status=403)
        assert "another site" in said["error"]
        assert await log_in(stranger, locked, **headers) == 403

    async def test_our_own_page_may(self, site: Site, client: Client) -> None:
        client.headers |= {"Origin": client.url, "Sec-Fetch-Site": "same-origin"}
        await client.put("/loglevel", {"interfacer": "", "level": ""})

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
    )
    async def test_a_name_that_points_here_gets_nothing(self, client: Client, host: str) -> None:
        """DNS rebinding: without a password, the name that is asked for tells whose page it is."""
        for path in ("/", "/api/v1/overview", "/metrics"):
            assert await status(client.session, "GET", client.url + path, headers={"Host": host}) == 403

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "[::1]"])
    async def test_the_usual_names_do(self, client: Client, host: str) -> None:
        assert await status(client.session, "GET", f"{client.url}/api/v1/overview", headers={"Host": host}) == 200

    async def test_no_page_of_theirs_shows_ours(self, client: Client) -> None:
        for path in ("/", "/login", "/api/v1/overview", "/static/js/main.js"):
            async with client.session.get(client.url + path) as answer:
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                assert "Access-Control-Allow-Origin" not in answer.headers


async def raw(site: Site, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Say this over a connection; the status, headers and body of the answer."""
    host, _, port = url(site).removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    finally:
        writer.close()
    return int(lines[0].split()[1]), headers, body


class TestRudeClients:
    @pytest.mark.parametrize(
        "request_",
        [
            b"<script>alert(1)</script>\r\n\r\n",
            b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /api/v1/nodes/<script>/1/history HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /api/v1/reporters/<script>/export?what=<script> HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n<script>\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: <script>\r\nAccept: text/html\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: <script>" + b"a" * 10_000 + b"\r\n\r\n",
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n<script>",
            b"BREW /pot HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
        ],
    )
    async def test_are_answered_in_json_and_quoted_nowhere(
        self, site: Site, request_: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        code, headers, body = await raw(site, request_)
        assert 400 <= code < 500
        assert headers["Content-Type"].startswith("application/json")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert set(json.loads(body)) == {"error"}
        assert b"<" not in body
        assert "script" not in caplog.text

    @pytest.mark.parametrize(
        "path",
        [
            "/static/../auth.py",
            "/static/%2e%2e/auth.py",
            "/static/..%2fauth.py",
            "/static/%2e%2e%2fauth.py",
            "/static//etc/passwd",
            "/static/..\\auth.py",
            "/static/css/../../auth.py",
        ],
    )
    async def test_find_no_way_to_other_files(self, site: Site, path: str) -> None:
        code, _, body = await raw(site, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert code in {400, 403, 404}
        assert b"import" not in body

    async def test_put_no_headers_into_answers(self, tmp_path: Path, state: Path, emoncms: FakeEmoncms) -> None:
        name = 'a"\\nSet-Cookie: x=1;é'
        text = EMONCMS.format(url=emoncms.url, key=emoncms.write_key).replace("[[emoncmsorg]]", f"[[{name}]]")
        async with serving(tmp_path / "emonhub.conf", configuration(state, text)) as site, asking(site) as client:
            await client.begin()
            async with client.session.get(f"{client.url}/api/v1/reporters/{quote(name)}/export") as answer:
                assert answer.status == 200
                assert answer.headers["Content-Disposition"] == 'attachment; filename="a__nSet-Cookie__x_1__.csv"'
                assert "Set-Cookie" not in answer.headers

    @pytest.mark.parametrize("path", ["/api/v1/configuration/check", "/login"])
    async def test_send_no_endless_bodies(self, site: Site, client: Client, path: str) -> None:
        headers = {**client.headers, "Content-Type": "application/json"}
        data = io.BytesIO(b'{"text": "' + b"a" * (5 << 20) + b'"}')
        # The answer may come, and the connection be closed, before all is sent.
        with contextlib.suppress(aiohttp.ClientConnectionError):
            assert await status(client.session, "POST", client.url + path, data=data, headers=headers) == 413

    async def test_get_no_bomb_unpacked(self, client: Client) -> None:
        data = zlib.compress(b" " * (64 << 20), 9)
        headers = {**client.headers, "Content-Type": "application/json", "Content-Encoding": "deflate"}
        where = f"{client.url}/api/v1/configuration/check"
        assert await status(client.session, "POST", where, data=data, headers=headers, compress=None) == 413

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b"null",
            b"[]",
            b"{",
            b'{"text": 1}',
            b'{"text": "\\ud800"}',
            b'{"text": null}',
            b"\xff",
            b"{}",
        ],
    )
    async def test_send_no_nonsense(self, client: Client, body: bytes) -> None:
        headers = {**client.headers, "Content-Type": "application/json"}
        where = f"{client.url}/api/v1/configuration/check"
        async with client.session.post(where, data=body, headers=headers) as answer:
            assert answer.status == 400
            assert set(await answer.json()) == {"error"}

    async def test_send_json_only(self, client: Client) -> None:
        """What a form of another site can send without asking first is of no use."""
        headers = {**client.headers, "Content-Type": "text/plain"}
        where = f"{client.url}/api/v1/configuration/check"
        assert await status(client.session, "POST", where, data=b'{"text": ""}', headers=headers) == 415


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the hub has closed a connection; whether it did without an answer."""
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


class TestSlowClients:
    @pytest.fixture
    async def quick(self, tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
        """A hub that has no patience."""

        def connections_(make: Any) -> connections.Connections:
            return connections.Connections(make, idle_s=0.2, most=3)

        monkeypatch.setattr(server, "Connections", connections_)
        async with serving(tmp_path / "emonhub.conf", configuration(state)) as site:
            yield site

    async def connect(self, site: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = url(site).removeprefix("http://").rpartition(":")
        return await asyncio.open_connection(host, int(port))

    @pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
    async def test_who_never_finishes_a_head_is_let_go(self, quick: Site, said: bytes) -> None:
        reader, writer = await self.connect(quick)
        writer.write(said)
        assert await closed(reader)
        writer.close()

    async def test_who_sends_a_head_drop_by_drop_is_let_go(self, quick: Site) -> None:
        reader, writer = await self.connect(quick)
        ending = asyncio.ensure_future(closed(reader))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        while not ending.done():
            writer.write(b"x")
            await asyncio.sleep(0.01)
        assert ending.result()
        writer.close()

    async def test_who_takes_no_answer_is_let_go(self, quick: Site) -> None:
        reader, writer = await self.connect(quick)
        for _ in range(200):
            writer.write(b"GET /static/js/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: not quick.server.connections.open, "the end of the connection")
        writer.close()
        assert reader

    async def test_a_body_that_never_comes_is_waited_for_so_long(
        self, quick: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emonhub.web.application._HANDLE_S", 0.2)
        code, _, _ = await raw(quick, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\npass")
        assert code == 503

    async def test_so_many_and_no_more(self, quick: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quick.server.connections, "_idle_s", 3600.0)
        taken = [await self.connect(quick) for _ in range(3)]
        await until(lambda: len(quick.server.connections.open) == 3)
        reader, writer = await self.connect(quick)
        assert await closed(reader)
        for _, one in [*taken, (reader, writer)]:
            one.close()
        await until(lambda: not quick.server.connections.open)
        code, _, _ = await raw(quick, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert code == 200


PLANTED = {
    "apikey": "c0ffee00c0ffee00c0ffee00c0ffee01",
    "passwd": "hunter2-of-the-broker",
    "env": "from-the-environment-9f8e7d",
    "old": "an-old-secret-in-a-comment",
    "inurl": "secret-in-the-address",
}


class TestSecrets:
    @pytest.fixture
    async def planted(
        self, tmp_path: Path, state: Path, emoncms: FakeEmoncms, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Site]:
        monkeypatch.setenv("EMONCMS_KEY", PLANTED["env"])
        first = EMONCMS.format(url=emoncms.url, key=PLANTED["apikey"]) + f"        # apikey = {PLANTED['old']}\n"
        address = f"http://user:{PLANTED['inurl']}@127.0.0.1:9/"
        second = EMONCMS.format(url=address, key="${env:EMONCMS_KEY}").replace("emoncmsorg", "other")
        mqtt = (
            "[[MQTT]]\n    Type = EmonHubMqttInterfacer\n    [[[init_settings]]]\n        mqtt_host = 127.0.0.1\n"
            f"        mqtt_port = 9\n        mqtt_passwd = {PLANTED['passwd']}\n    [[[runtimesettings]]]\n"
            "        subchannels = ToEmonCMS,\n"
        )
        text = configuration(state, RADIO.format(port="/x"), first, second, mqtt, web=LOCKED, hub="loglevel = DEBUG")
        async with serving(tmp_path / "emonhub.conf", text) as site:
            yield site

    async def test_are_in_no_answer_page_log_or_metric(
        self, planted: Site, stranger: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        planted.reads("RFM2Pi", "OK 10 100 0 215 0 (-40)")
        refused = planted.hub.runners["emoncmsorg"].interfacer
        await until(lambda: getattr(refused, "trouble", ""), "the refusal of the key")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        seen = []
        paths = [e.path for e in endpoints(planted.server.site) if e.method == "GET" and "events" not in e.path]
        for path in [*paths, "/", "/metrics", "/health", "/ready"]:
            where = url(planted) + path.format(source="RFM2Pi", node="10", name="emoncmsorg", id="1")
            async with stranger.get(where, headers=headers) as answer:
                seen.append(await answer.text() + str(answer.headers))
        async with stranger.get(f"{url(planted)}/api/v1/events", headers=headers) as answer:
            seen.append((await answer.content.readuntil(b"\n\n")).decode())
        async with stranger.get(f"{url(planted)}/api/v1/configuration", headers=headers) as answer:
            text = (await answer.json())["text"]
        body: dict[str, Any] = {"text": text + "[[x]]\n", "interfacer": "MQTT", "settings": {}}
        for path in ("configuration/check", "configuration/edit"):
            async with stranger.post(f"{url(planted)}/api/v1/{path}", json=body, headers=headers) as answer:
                seen.append(await answer.text())
        assert len(seen) > 20
        secrets = [*PLANTED.values(), PASSWORD, TOKEN]
        assert [(secret, text[:200]) for text in seen for secret in secrets if secret in text] == []
        lines = [line["text"] for line in planted.server.site.log.lines]
        assert lines
        assert [line for line in lines for secret in secrets if secret in line] == []

    async def test_the_file_comes_back_as_it_was(self, planted: Site, stranger: aiohttp.ClientSession) -> None:
        before = planted.path.read_bytes()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        where = f"{url(planted)}/api/v1/configuration"
        async with stranger.get(where, headers=headers) as answer:
            found = await answer.json()
        assert "${env:EMONCMS_KEY}" in found["text"]
        body = {"text": found["text"] + "# more\n", "version": found["version"]}
        assert await status(stranger, "PUT", where, json=body, headers=headers) == 200
        assert planted.path.read_bytes() == before + b"# more\n"
