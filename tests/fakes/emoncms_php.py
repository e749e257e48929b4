"""How PHP and emoncms 11.16.8, as observed, read values and word their answers: plain functions on values.

Places where the reference is silent and a choice had to be made are marked (guess).
"""

from __future__ import annotations

import binascii
import json
import math
import re
import unicodedata
import zlib
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any, NoReturn
from urllib.parse import parse_qsl

# memory_limit of the observed install; a batch that inflates beyond it ends in a fatal error.
MEMORY_LIMIT = 128 * 1024 * 1024

PLAIN = "text/plain;charset=UTF-8"
HTML = "text/html; charset=UTF-8"
JSON = "application/json"

NOT_VALID = "Format error, json string supplied is not valid"
NOT_HEX = "Format error, compressed hex not valid"
NO_LAST_ITEM = "Format error, last item in bulk data does not contain any data"
NODE_IS_OBJECT = "Format error, node must not be an object"

_NUMERIC_PREFIX = re.compile(r"[ \t\n\r\v\f]*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer: what is sent, whole."""

    status: int
    body: bytes
    content_type: str = PLAIN
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request ends with a JSON error text; the argument is its message."""

    def __init__(self, message: str, printed: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.printed = printed  # what PHP printed before the answer


class Crashed(Exception):
    """The request ends with PHP's fatal error page; the argument is the text behind `Uncaught`."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def error_json(message: str) -> str:
    """The error text of bulk, with the blank after the colons that PHP's own encoder would not write."""
    return f'{{"success": false, "message": {json.dumps(message, ensure_ascii=False)}}}'


def crash_page(what: str) -> str:
    """The page of an uncaught exception with display_errors on."""
    return (
        f"<br />\n<b>Fatal error</b>:  Uncaught {what} in /opt/emoncms/input.php:1\nStack trace:\n#0 {{main}}\n"
        "  thrown in <b>/opt/emoncms/input.php</b> on line <b>1</b><br />\n"
    )


def memory_page() -> str:
    """The page of a request that ran out of memory."""
    return (
        f"<br />\n<b>Fatal error</b>:  Allowed memory size of {MEMORY_LIMIT} bytes exhausted"
        " in <b>/opt/emoncms/input.php</b> on line <b>1</b><br />\n"
    )


def warning(text: str) -> str:
    """What PHP prints in front of the answer when it warns with display_errors on."""
    return f"<br />\n<b>Warning</b>:  {text} in <b>/opt/emoncms/input.php</b> on line <b>1</b><br />\n"


def to_float(value: Any) -> float:
    """A scalar of a frame as the number that is stored: null, text without a number and false are 0 (§3.3)."""
    if value is None:
        return 0.0
    if isinstance(value, str):
        found = _NUMERIC_PREFIX.match(value)
        return float(found[1]) if found else 0.0
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def to_int(value: Any) -> int:
    """The integer part of what to_float makes of it; arrays are 1 unless empty, objects 1, INF is 0 (guess)."""
    if isinstance(value, dict):
        return 1
    if isinstance(value, list):
        return int(bool(value))
    number = to_float(value)
    return int(number) if math.isfinite(number) else 0


def clean_name(text: str) -> str:
    """A node or input name without the characters that emoncms removes (§3.2)."""
    return "".join(c for c in text if c in "_-." or c.isspace() or unicodedata.category(c)[0] in "LN")


def node_name(value: Any) -> str:
    """The name of a frame's node (§3.2); raises Refused for an object and Crashed for an array."""
    if isinstance(value, dict):
        raise Refused(NODE_IS_OBJECT)
    if isinstance(value, list):
        raise Crashed("TypeError: node is an array")
    if isinstance(value, bool):
        text = "1" if value else ""
    elif isinstance(value, float):
        text = format(value, ".14G")
    else:
        text = "" if value is None else str(value)
    return clean_name(text) or "0"


def frame_values(items: list[Any]) -> tuple[dict[str, float], str]:
    """The values of a frame by input name, and the warnings printed (§3.3); an array as a value is Crashed."""
    values: dict[str, float] = {}
    printed = ""
    position = 0
    for item in items:
        if isinstance(item, dict):
            for name, value in item.items():
                if isinstance(value, dict):
                    printed += warning("Object of class stdClass could not be converted to float")
                values[clean_name(name)] = float(to_int(value)) if isinstance(value, dict | list) else to_float(value)
            continue
        if isinstance(item, list):
            raise Crashed("TypeError: value is an array")
        position += 1
        values[str(position)] = to_float(item)
    return values, printed


def decode_batch(text: bytes) -> Any:
    """The JSON value that PHP's decoder makes of the text; raises Refused for what it does not accept (§3.4)."""

    def no_constant(_name: str) -> NoReturn:
        raise ValueError("NaN and Infinity are not JSON")

    try:
        plain = text.decode()
        value = json.loads(plain, parse_constant=no_constant)
        if "\\u" in plain:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is refused
    except (ValueError, RecursionError) as error:
        raise Refused(NOT_VALID) from error
    return value


def inflate(stream: bytes) -> bytes:
    """A whole zlib stream (RFC 1950) inflated; Refused if it is none, Crashed if it does not fit into memory."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(stream, MEMORY_LIMIT)
    except zlib.error as error:
        raise Refused(NOT_VALID) from error
    if inflater.unconsumed_tail:
        raise MemoryError
    if not inflater.eof:
        raise Refused(NOT_VALID)
    return text


def unhex(text: str) -> bytes:
    """Hexadecimal digits of either case to bytes; anything else is Refused with the warning PHP prints (§3.5)."""
    try:
        return binascii.unhexlify(text)
    except ValueError as error:
        raise Refused(NOT_HEX, warning("hex2bin(): Input string must be hexadecimal string")) from error


def strip_slashes(text: str) -> str:
    r"""Text without its backslashes: ``\\`` stays one, ``\u00e9`` arrives as ``u00e9`` (§0.9)."""
    return re.sub(r"\\(.?)", r"\1", text, flags=re.DOTALL)


def parse_query(text: str) -> dict[str, str]:
    """Parameters of a URL or form body; ``+`` is a space, the last of a name wins."""
    return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))


def parse_form(content_type: str, body: bytes) -> dict[str, str]:
    """The form in a body of this Content-Type; other types than the two of forms are ignored (§2)."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return parse_query(body.decode(errors="surrogateescape"))
    if kind != "multipart/form-data":
        return {}
    whole = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    form = {}
    for part in whole.get_payload() if whole.is_multipart() else []:
        name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
        payload = part.get_payload(decode=True)  # type: ignore[union-attr]
        if isinstance(name, str) and isinstance(payload, bytes):
            form[name] = payload.decode(errors="surrogateescape")
    return form


def to_bytes(text: str) -> bytes:
    """The bytes a parameter was sent as, also where they were not UTF-8."""
    return text.encode(errors="surrogateescape")


def number(value: float | None) -> float | int | None:
    """A stored number as PHP's JSON shows it: whole ones without a fraction, INF as null."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def php_array(items: dict[str, Any]) -> dict[str, Any] | list[Any]:
    """The PHP quirk of §5.1: keys 0, 1, 2… in order (and no keys at all) are written as a JSON array."""
    if list(items) == [str(n) for n in range(len(items))]:
        return list(items.values())
    return items
