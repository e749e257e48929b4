from __future__ import annotations

import random

import pytest

from emonhub.demo.board import RadioBoard

NEW = b" A i1* g210 @ 433 MHz q1 USA 0\r\n"


def test_it_says_what_it_is_when_it_starts() -> None:
    assert RadioBoard().banner() == b"\r\n[RFM12demo.12]" + NEW


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"v", b"> 0v\r\n[RFM12demo.12]" + NEW),
        (b"210g", b"> 210g\r\n" + NEW),
        (b"5i", b"> 5i\r\n E i5* g210 @ 433 MHz q1 USA 0\r\n"),
        (b"4b", b"> 4b\r\n" + NEW),
        (b"8b", b"> 8b\r\n A i1* g210 @ 868 MHz q1 USA 0\r\n"),
        (b"9b", b"> 9b\r\n A i1* g210 @ 915 MHz q1 USA 0\r\n"),
        (b"0g", b"> 0g\r\n A i1* g0 @ 433 MHz q1 USA 0\r\n"),
        (b"0q", b"> 0q\r\n A i1* g210 @ 433 MHz q0 USA 0\r\n"),
        (b"1q", b"> 1q\r\n" + NEW),
        (b"0c", b"> 0c\r\n A i1 g210 @ 433 MHz q1 USA 0\r\n"),
        (b"1p", b"> 1p\r\n" + NEW),
        (b"2p", b"> 2p\r\n A i1* g210 @ 433 MHz q1 USA 1\r\n"),
        (b"30,1,0,58,7,0s", b"> 30,1,0,58,7,0s\r\n -> 5 b\r\n"),
        (b"00,12,34,00,s", b"> 0,12,34,0,0s\r\n -> 4 b\r\n"),
        (b"1,2,3,9a", b"> 1,2,3,9a\r\n -> 3 b\r\n"),
    ],
)
def test_it_answers_each_command(command: bytes, answer: bytes) -> None:
    assert RadioBoard().feed(command) == answer
    in_pieces = RadioBoard()
    assert b"".join(in_pieces.feed(bytes((byte,))) for byte in command) == answer


def test_settings_stay_and_several_commands_may_come_at_once() -> None:
    board = RadioBoard()
    board.feed(b"5i100g8b0q2p")
    assert (board.node_id, board.group, board.band_mhz, board.quiet, board.usa) == (5, 100, 868, False, True)
    assert board.feed(b"v").endswith(b"[RFM12demo.12] E i5* g100 @ 868 MHz q0 USA 1\r\n")


@pytest.mark.parametrize("command", [b"0i", b"31i", b"5b", b"251g", b"2q", b"0p", b"7c"])
def test_a_value_that_is_none_changes_nothing(command: bytes) -> None:
    board = RadioBoard()
    assert board.feed(command) == b"> " + command + b"\r\n"
    assert board == RadioBoard()


@pytest.mark.parametrize(
    "rubbish", [b"", b"\r\n", b"\x00\xff\xfe", b"?!{}[]", b"5,6,7\n", b"VIGB", b"OK 10 1 2 (-47)\r\n"]
)
def test_rubbish_is_ignored(rubbish: bytes) -> None:
    board = RadioBoard()
    assert board.feed(rubbish) == b""
    assert board == RadioBoard()
    assert board.feed(b"12g") == b"> 12g\r\n A i1* g12 @ 433 MHz q1 USA 0\r\n"


def test_no_input_grows_without_end() -> None:
    board = RadioBoard()
    board.feed(b"9" * 10_000 + b",1" * 10_000)
    assert board.feed(b"s").endswith(b" -> 66 b\r\n")


def test_it_survives_any_bytes() -> None:
    rng = random.Random(1)
    board = RadioBoard()
    for _ in range(200):
        board.feed(rng.randbytes(100))
    assert b"MHz" in board.feed(b"\nv")


def test_it_prints_a_frame_that_it_hears() -> None:
    assert RadioBoard().receive(10, bytes((1, 0, 255)), -47) == b"OK 10 1 0 255 (-47)\r\n"


def test_it_hears_only_frames_that_the_radio_can_carry() -> None:
    with pytest.raises(ValueError, match="no frame of this radio"):
        RadioBoard().receive(32, b"1", -47)
    with pytest.raises(ValueError, match="67 bytes"):
        RadioBoard().receive(5, bytes(67), -47)


def test_noise_is_printed_only_with_quiet_off() -> None:
    board = RadioBoard()
    assert board.receive_noise(random.Random(1)) == b""
    board.feed(b"0q")
    rng = random.Random(1)
    for _ in range(50):
        line = board.receive_noise(rng)
        assert line.startswith(b" ? ")
        assert line.endswith(b")\r\n")
        *data, rssi = line.split()[1:]
        assert 2 <= len(data) <= 21
        assert all(0 <= int(field) <= 255 for field in data)
        assert int(rssi[1:-1]) < -80
