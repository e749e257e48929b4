"""Keys, transport and answers of the fake emoncms, held against emoncms 11.16.8 as observed (§ cites)."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from tests.fakes.conftest import FORM
from tests.fakes.emoncms import POST_MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.conftest import Client

NOT_VALID = '{"success": false, "message": "Format error, json string supplied is not valid"}'
NOT_HEX = '{"success": false, "message": "Format error, compressed hex not valid"}'
NO_LAST = '{"success": false, "message": "Format error, last item in bulk data does not contain any data"}'
NODE_OBJECT = '{"success": false, "message": "Format error, node must not be an object"}'
CRASH = "<br />\n<b>Fatal error</b>:  Uncaught TypeError: "
WARNING = "<br />\n<b>Warning</b>:  "


# --- §1 keys ---


@dataclass(frozen=True)
class Key:
    cites: str
    status: int
    body: str
    query: str = ""
    form: str = ""
    header: str | None = None


KEYS = [
    Key("§1 in the URL", 200, "ok", query="&apikey=W"),
    Key("§1 in the form", 200, "ok", form="&apikey=W"),
    Key("§1 header", 200, "ok", header="Bearer W"),
    Key("§1 header without Bearer", 200, "ok", header="W"),
    Key("§1 bearer in lower case", 401, "Invalid API key", header="bearer W"),
    Key("§1 bad key in URL, good in header", 401, "Invalid API key", query="&apikey=bad", header="Bearer W"),
    Key("§1 URL looked at first", 401, "Invalid API key", query="&apikey=bad", form="&apikey=W"),
    Key("§1 wrong key of right length", 401, "Invalid API key", header="Bearer " + "0" * 32),
    Key("§1 no key", 200, ""),
    Key("§1 empty key hides the header", 200, "", query="&apikey=", header="Bearer W"),
    Key("§1 read key", 200, "", query="&apikey=R"),
]


@pytest.mark.parametrize("case", KEYS, ids=lambda case: case.cites)
async def test_key(client: Client, case: Key) -> None:
    def filled(text: str) -> str:
        return re.sub(r"\bW$", client.server.write_key, re.sub(r"\bR$", client.server.read_key, text))

    headers = {"Content_Type": FORM}
    if case.header is not None:
        headers["Authorization"] = filled(case.header)
    body = ("data=[[1,2,3]]" + filled(case.form)).encode()
    status, kind, text = await client.ask("/input/bulk?time=0" + filled(case.query), body, **headers)
    assert (status, text) == (case.status, case.body)
    assert kind == ("text/html" if status == 401 else "text/plain;charset=UTF-8")
    assert client.server.stored == (text == "ok")


# --- §2 routing and transport ---

URL_DATA = "data=[[1,2,3]]&time=0&apikey=W"


@dataclass(frozen=True)
class Sent:
    cites: str
    method: str
    target: str
    expected: str
    body: bytes | None = None
    kind: str = ""
    status: int = 200


FORM_DATA = b"data=[[1,2,3]]&time=0"
MULTIPART = b'--X\r\nContent-Disposition: form-data; name="data"\r\n\r\n[[1,2,3]]\r\n--X--\r\n'
NO_ROUTE = '{"success":false,"message":"406 Not Acceptable. Route not found"}'
KEYED = "/input/bulk?apikey=W"
SENT = [
    Sent("§2 .json", "GET", f"/input/bulk.json?{URL_DATA}", "ok"),
    Sent("§2 slash behind", "GET", f"/input/bulk.json/?{URL_DATA}", "ok"),
    Sent("§2 double slash", "GET", f"//input//bulk.json?{URL_DATA}", "ok"),
    Sent("§2 index.php", "GET", f"/index.php?q=input/bulk.json&{URL_DATA}", "ok"),
    Sent("§2 HEAD stores", "HEAD", f"/input/bulk?{URL_DATA}", ""),
    Sent("§2 PUT form", "PUT", KEYED, NOT_VALID, FORM_DATA, FORM),
    Sent("§2 PUT cb", "PUT", f"{KEYED}&cb=1", "ok", zlib.compress(b"[[1,2,3]]")),
    Sent("§2 OPTIONS", "OPTIONS", f"/input/bulk?{URL_DATA}", ""),
    Sent("§2 JSON body", "POST", KEYED, NOT_VALID, FORM_DATA, "application/json"),
    Sent("§2 text body", "POST", KEYED, NOT_VALID, FORM_DATA, "text/plain"),
    Sent("§2 multipart", "POST", KEYED, "ok", MULTIPART, "multipart/form-data; boundary=X"),
    Sent("§2 unknown action", "GET", "/input/nosuch.json?apikey=W", "false"),
    Sent("§2 unknown controller", "GET", "/nosuch/bulk?apikey=W", NO_ROUTE, status=406),
]


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.cites)
async def test_transport(client: Client, case: Sent) -> None:
    target = case.target.replace("=W", f"={client.server.write_key}")
    headers = {"Content_Type": case.kind} if case.kind else {}
    status, _, text = await client.ask(target, case.body, method=case.method, **headers)
    assert (status, text) == (case.status, case.expected)
    assert client.server.stored == (text == "ok" or case.method == "HEAD")


async def test_chunked_and_kept_alive(client: Client) -> None:
    """§2."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"data=[[1,2,"
        yield b"3]]"

    url = f"{client.server.url}{KEYED[:-1]}{client.server.write_key}"
    for _ in range(2):
        async with client.session.post(url, data=chunks(), headers={"Content-Type": FORM}) as answer:
            assert await answer.text() == "ok"
    assert client.server.requests[1].size == 14


async def test_success_is_the_two_letters_with_a_length(client: Client) -> None:
    url = f"{client.server.url}/input/bulk.json?{URL_DATA.replace('=W', '=' + client.server.write_key)}"
    async with client.session.get(URL(url, encoded=True)) as answer:
        assert await answer.read() == b"ok"
        assert (answer.headers["Content-Type"], answer.headers["Content-Length"]) == ("text/plain;charset=UTF-8", "2")


@pytest.mark.parametrize(("length", "status"), [(8105, 200), (8255, 414)])  # §2 size limits
async def test_request_line(client: Client, length: int, status: int) -> None:
    target = f"/input/bulk?apikey={client.server.write_key}&time=0&data=[[1,2,3]]&x="
    assert (await client.ask(target.ljust(length, "x"), method="GET"))[0] == status


async def test_base_path(client: Client) -> None:
    """§2: a wrong base path is Apache's own 404."""
    client.server.base_path = "/emoncms"
    assert (await client.ask("/input/bulk/"))[:2] == (200, "text/plain;charset=UTF-8")
    client.server.base_path, wrong = "/emoncms", client.server.url.removesuffix("/emoncms")
    async with client.session.get(f"{wrong}/input/bulk") as answer:
        assert answer.status == 404
        assert answer.content_type == "text/html"


async def test_too_large_bodies_are_dropped(client: Client) -> None:
    """§2: above post_max_size the form is gone, and the key in it."""
    key = client.server.write_key
    form = b"data=[[1,2,3]]&time=0&x=".ljust(POST_MAX_SIZE + 1, b"x")
    assert (await client.ask(f"/input/bulk?apikey={key}", form, Content_Type=FORM))[2] == NOT_VALID
    assert (await client.ask("/input/bulk", form + f"&apikey={key}".encode(), Content_Type=FORM))[2] == ""
    raw = zlib.compress(b"[[1,2,3]]" + b" " * POST_MAX_SIZE, 0)
    assert (await client.ask(f"/input/bulk?cb=1&apikey={key}", raw))[2] == NOT_VALID
    raw = zlib.compress(b"[[1,2,3]]" + b" " * POST_MAX_SIZE)
    assert (await client.ask(f"/input/bulk?cb=1&apikey={key}", raw))[2] == "ok"
    assert client.server.stored == 1


async def test_content_encoding_is_not_understood(client: Client) -> None:
    """§2: the body of cb=1 is the zlib stream itself, whatever the header says; a gzip body is no form."""
    target = f"/input/bulk?cb=1&apikey={client.server.write_key}"
    body = zlib.compress(b"[[1,2,3]]")
    async with client.session.post(client.server.url + target, data=body, headers={"Content-Encoding": "x"}) as answer:
        assert await answer.text() == "ok"
    gzipped = zlib.compress(b"[[1,2,3]]", wbits=31)
    headers = {"Content-Encoding": "gzip"}
    async with client.session.post(client.server.url + target, data=gzipped, headers=headers) as answer:
        assert await answer.text() == NOT_VALID


# --- §3.4 answers: the batch, how the answer begins, how many frames are stored ---


@pytest.mark.parametrize(
    ("data", "answer", "stored"),
    [
        ("[[1,1,1],[2,1,1]]", "ok", 2),
        ("", NOT_VALID, 0),
        ("[]", NOT_VALID, 0),
        ("null", NOT_VALID, 0),
        ("[[1,1,1],[2,1", NOT_VALID, 0),
        ("[[1,'a',1]]", NOT_VALID, 0),
        ("[[1,1,1],]", NOT_VALID, 0),
        ("[[1,1,1],[2,1,NaN]]", NOT_VALID, 0),
        ("[[1,1,Infinity]]", NOT_VALID, 0),
        ("\ufeff[[1,1,1]]", NOT_VALID, 0),
        ("[[1,1,1],[]]", NO_LAST, 0),
        ("[[1,1,1],null]", NO_LAST, 0),
        ("[[1,1,1],5]", NO_LAST, 0),
        ("[[1,1,1],[null,1,1]]", NO_LAST, 0),
        ('{"a":1}', CRASH, 0),
        ("5", CRASH, 0),
        ('"text"', CRASH, 0),
        ("[[1,1,1],5,[2,1,1]]", CRASH, 1),
        ('[[1,1,1],"text",[2,1,1]]', CRASH, 1),
        ("[[1,1,1],null,[2,1,1]]", CRASH, 1),
        ('[[1,1,1],{"a":1},[2,1,1]]', CRASH, 1),
        ("[[1,1,1],[2,[3],1],[3,1,1]]", CRASH, 1),
        ("[[1,1,1],[2,1,[3]],[3,1,1]]", CRASH, 1),
        ("[[1,1,1],[2,{},1],[3,1,1]]", NODE_OBJECT, 1),
        ("[[1,1],[2,1,1],[3]]", "ok", 1),
    ],
)
async def test_answers(client: Client, data: str, answer: str, stored: int) -> None:
    """§3.4, not atomic as §0.3 says."""
    text = await client.bulk(data)
    assert text == answer or (answer == CRASH and text.startswith(CRASH))
    assert len(client.server.frames) == stored


async def test_fulljson(client: Client) -> None:
    """§3.4."""
    assert await client.bulk("[[1,1,1]]", "time=0&fulljson=1") == '{"success": true}'


async def test_crash_with_display_errors_off(client: Client) -> None:
    """§3.4."""
    client.server.display_errors = False
    status, kind, text = await client.ask(f"/input/bulk?data=5&apikey={client.server.write_key}", method="GET")
    assert (status, kind, text) == (500, "text/html", "")


async def test_creation_disabled(client: Client) -> None:
    """§3.4."""
    client.server.store.creation_enabled = False
    assert await client.bulk("[[1,1,1]]") == "ok"
    assert client.inputs == {}
    assert client.server.frames == []


@pytest.mark.parametrize(
    ("data", "answer", "name"),
    [
        (r'[[1,1,{"\u00e9":1}]]', "ok", "u00e9"),
        ('[[1,1,{"é":1}]]', "ok", "é"),
        (r'[[1,1,{"a\"b":1}]]', NOT_VALID, None),
    ],
)
async def test_backslashes_in_a_form(client: Client, data: str, answer: str, name: str | None) -> None:
    """§0.9."""
    assert await client.bulk(data) == answer
    assert list(client.inputs) == ([f"1/{name}"] if name else [])


async def test_plus_is_a_space(client: Client) -> None:
    """§2: an unescaped 1e+2 breaks."""
    target = f"/input/bulk?apikey={client.server.write_key}"
    assert (await client.ask(target, b"data=[[1,1,1e+2]]", Content_Type=FORM))[2] == NOT_VALID


# --- §3.5 compressed forms ---

GOOD = rb'[[1,1,{"\u00e9":1}]]'
ZLIB = zlib.compress(GOOD)


@pytest.mark.parametrize(
    ("query", "body", "answer"),
    [
        ("cb=1", ZLIB, "ok"),
        ("cb=0", ZLIB, "ok"),
        ("cb=1", zlib.compress(GOOD, wbits=31), NOT_VALID),
        ("cb=1", zlib.compress(GOOD, wbits=-15), NOT_VALID),
        ("cb=1", GOOD, NOT_VALID),
        ("cb=1", ZLIB[:-5], NOT_VALID),
        ("cb=1", zlib.compress(b"data=" + GOOD), NOT_VALID),
        ("c=1", b"data=" + ZLIB.hex().encode(), "ok"),
        ("c=1", b"data=" + ZLIB.hex().upper().encode(), "ok"),
        ("c=1&data=" + ZLIB.hex(), b"", "ok"),
        ("c=1", b"data=" + ZLIB.hex().encode() + b"7", NOT_HEX),
        ("c=1", b"data=zz", NOT_HEX),
        ("c=1", b"data=7878", NOT_VALID),
        ("cb=1", zlib.compress(b" " * 200_000_000), "<br />\n<b>Fatal error</b>:  Allowed memory size"),
    ],
)
async def test_compressed(client: Client, query: str, body: bytes, answer: str) -> None:
    """§3.5, with backslashes left alone; the last is of §2."""
    target = f"/input/bulk?{query}&time=0&apikey={client.server.write_key}"
    status, _, text = await client.ask(target, body, Content_Type=FORM)
    assert status == 200
    assert answer in text
    assert text.startswith(WARNING) == (answer == NOT_HEX)
    assert list(client.inputs) == (["1/é"] if answer == "ok" else [])
