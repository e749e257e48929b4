"""The store in a database, against SQLite files and real MariaDB and PostgreSQL servers."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from emonhub.buffer.sql import Address, SqlStore
from emonhub.buffer.store import Chunk, Lost
from emonhub.clock import Clock
from emonhub.errors import SettingError
from tests.fakes.databases import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_800_000_000.0


class Time:
    """A wall clock that is set by the test."""

    def __init__(self) -> None:
        self.now = NOW
        self.is_set = True
        self.clock = Clock(lambda: self.now, lambda: 1000.0, "this boot", lambda: self.is_set)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def made(place: Place, time: Time) -> Iterator[Callable[..., SqlStore]]:
    """Makes stores in `place`, not opened yet, and closes them."""
    stores = []

    def make(reporter: str = "emoncms", url: str = "", **options: Any) -> SqlStore:
        store = SqlStore(url or place.url, reporter, clock=time.clock, form=options.pop("form", "bulk"), **options)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(made: Callable[..., SqlStore]) -> SqlStore:
    store = made()
    store.open()
    return store


def frames(first: int, count: int, *, start: float = NOW, provisional: bool = False) -> Chunk:
    numbers = range(first, first + count)
    return Chunk(
        first,
        [f"17,{number}" for number in numbers],
        [start + number / 8 for number in numbers],
        [True] * count if provisional else [],
    )


def records(chunk: Chunk) -> list[int]:
    """The numbers that `frames` has put into the records."""
    return [int(record.split(",")[1]) for record in chunk.records]


def all_of(store: SqlStore, limit: int = 1000) -> list[int]:
    """What is owed, read from the beginning."""
    found: list[int] = []
    number = 0
    while (chunk := store.read(number, limit)).records:
        assert records(chunk) == list(range(chunk.first, chunk.end))
        found += records(chunk)
        number = chunk.end
    return found


# --- in and out ---


def test_an_empty_one(store: SqlStore) -> None:
    assert store.open() == store.open()
    assert store.open().end == 0
    assert store.held == 0
    assert store.read(0, 10) == Chunk(0)
    assert store.trim(0) == []


def test_what_is_written_is_there_for_the_next_run_to_read(made: Callable[..., SqlStore]) -> None:
    first = made()
    first.open()
    assert first.write(frames(0, 5), 0) == []
    assert first.write(frames(5, 2500), 0) == []
    held = first.held
    first.close()
    store = made()
    opened = store.open()
    assert (opened.first, opened.end, opened.frames, opened.oldest_time) == (0, 2505, 2505, NOW)
    assert store.held == held > 2505 * 100
    chunk = store.read(3, 4)
    assert (chunk.first, chunk.end, records(chunk)) == (3, 7, [3, 4, 5, 6])
    assert chunk.times == [NOW + number / 8 for number in (3, 4, 5, 6)]
    assert chunk.provisional == []
    assert all_of(store, 400) == list(range(2505))


def test_every_text_comes_back(store: SqlStore) -> None:
    texts = ["", " a ", "'\"`\\", "%s ? %% :x $1", "é日本🎈", "\t\\n\\0", "x" * 100_000, '{"a": null}']
    store.write(Chunk(0, texts, [NOW] * len(texts)), 0)
    assert store.read(0, 100).records == texts


def test_a_text_that_no_database_takes_keeps_no_other_from_being_written(store: SqlStore) -> None:
    store.write(Chunk(0, ["a\0b", "lone \ud800", "c"], [NOW] * 3), 0)
    assert store.read(0, 100).records == ["a\N{REPLACEMENT CHARACTER}b", "lone ?", "c"]


@pytest.mark.parametrize("when", [0.001, 1.0, NOW + 0.999, NOW + 0.0005, 2**33 + 0.125, -5.25, 9e11])
def test_times_keep_their_milliseconds(store: SqlStore, when: float) -> None:
    store.write(Chunk(0, ["a"], [round(when, 3)]), 0)
    assert store.read(0, 1).times == [round(when, 3)]


def test_only_the_one_that_was_acknowledged_goes(store: SqlStore, place: Place) -> None:
    store.write(frames(0, 10), 0)
    assert store.trim(4) == []
    assert all_of(store) == [4, 5, 6, 7, 8, 9]
    assert place.query("SELECT number FROM emonhub_buffer ORDER BY number") == [(n,) for n in range(4, 10)]
    store.write(frames(10, 2), 8)
    assert all_of(store) == [8, 9, 10, 11]
    store.trim(12)
    assert store.held == 0
    assert place.query("SELECT * FROM emonhub_buffer") == []


def test_reading_stops_at_a_gap_and_goes_on_behind_it(store: SqlStore) -> None:
    store.write(frames(0, 3), 0)
    store.write(frames(7, 3), 0)  # 3 to 6 were acknowledged before they had to be written
    assert records(store.read(0, 10)) == [0, 1, 2]
    chunk = store.read(3, 10)
    assert (chunk.first, records(chunk)) == (7, [7, 8, 9])
    assert store.open().frames == 6


def test_all_before_the_cursor_is_done_when_it_is_opened(made: Callable[..., SqlStore], place: Place) -> None:
    first = made()
    first.open()
    first.write(frames(0, 10), 0)
    first.close()
    store = made()
    opened = store.open(6)
    assert (opened.first, opened.end, opened.frames) == (6, 10, 4)
    assert opened.oldest_time == NOW + 6 / 8
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(4,)]
    assert store.open(50).end == 50


# --- for people ---


def test_a_person_sees_who_when_and_what(store: SqlStore, place: Place) -> None:
    store.write(Chunk(0, ["17,230.5"], [1_767_323_045.678]), 0)
    columns = "reporter, number, time_ms, record, provisional, form, state"
    found = place.query(f"SELECT {columns} FROM emonhub_buffer")
    assert found == [("emoncms", 0, 1_767_323_045_678, "17,230.5", 0, "bulk", "waiting")]
    [(when,)] = place.query("SELECT time FROM emonhub_buffer")
    assert str(when).rstrip("0") == "2026-01-02 03:04:05.678"


def test_what_values_are_called_is_kept_from_the_frame_on_from_which_it_holds(store: SqlStore, place: Place) -> None:
    note = {"node": 17, "nodename": "emonTx", "names": ["P1 é"], "units": ["W"]}
    store.describe("17", note)
    store.write(frames(0, 3), 0)
    store.describe("17", note)
    store.describe("x" * 300, {"node": "x"})
    store.write(frames(3, 3), 0)
    store.describe("17", note | {"names": ["P2"]})
    store.write(frames(6, 3), 0)
    found = place.query("SELECT reporter, number, note FROM emonhub_nodes WHERE node = '17' ORDER BY number")
    assert [row[:2] for row in found] == [("emoncms", 0), ("emoncms", 6)]
    assert '"P1 é"' in found[0][2]
    assert '"P2"' in found[1][2]


def test_notes_are_not_written_again_by_every_run(made: Callable[..., SqlStore], place: Place) -> None:
    for run in range(3):
        store = made()
        store.open()
        store.describe("17", {"names": ["a"]})
        store.write(frames(run, 1), 0)
        store.close()
    assert place.query("SELECT number FROM emonhub_nodes") == [(0,)]


def test_delivered_frames_are_kept_for_the_record(made: Callable[..., SqlStore], place: Place, time: Time) -> None:
    store = made(keep_s=3600.0)
    store.open()
    store.write(frames(0, 4), 2)  # two have been acknowledged in the front already
    store.trim(3)
    states = "SELECT number, state FROM emonhub_buffer ORDER BY number"
    assert place.query(states) == [(0, "delivered"), (1, "delivered"), (2, "delivered"), (3, "waiting")]
    assert store.held < 150
    assert all_of(store) == [3]
    again = made(keep_s=3600.0)
    opened = again.open()
    assert (opened.first, opened.end, opened.frames) == (3, 4, 1)
    time.now = NOW + 3600.2  # 0 and 1 are older than an hour
    again.trim(3)
    assert place.query(states) == [(2, "delivered"), (3, "waiting")]


def test_for_ever_means_for_ever(made: Callable[..., SqlStore], place: Place, time: Time) -> None:
    store = made(keep_s=float("inf"))
    store.open()
    store.write(frames(0, 4), 0)
    time.now = NOW + 1e9
    store.trim(4)
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(4,)]
    assert store.open().frames == 0
    assert store.open().end == 4


def test_reporters_share_a_table_and_see_only_their_own(made: Callable[..., SqlStore], place: Place) -> None:
    one, two, third = made("one"), made("two's"), made("One")
    for number, store in enumerate((one, two, third)):
        store.open()
        store.write(frames(0, 3 + number), 0)
    one.trim(2)
    assert (all_of(one), all_of(two), all_of(third)) == ([2], [0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(10,)]


# --- bounds ---


def test_the_oldest_go_when_it_is_full(made: Callable[..., SqlStore]) -> None:
    store = made(max_bytes=107 * 3000)
    store.open()
    assert store.write(frames(1000, 3000), 0) == []
    lost = store.write(frames(4000, 1500), 0)
    assert sum(item.frames for item in lost) == 1500
    assert (lost[0].first, lost[-1].end) == (1000, 2500)
    assert {item.reason for item in lost} == {"buffer full"}
    assert (lost[0].first_time, lost[-1].last_time) == (NOW + 1000 / 8, NOW + 2499 / 8)
    assert store.held == 107 * 3000
    assert store.open().frames == 3000
    assert all_of(store)[0] == 2500


def test_what_is_done_with_makes_room_first(made: Callable[..., SqlStore]) -> None:
    store = made(max_bytes=107 * 100)
    store.open()
    store.write(frames(1000, 100), 0)
    assert store.write(frames(1100, 50), 1050) == []
    assert all_of(store) == list(range(1050, 1150))


def test_more_than_fits_at_all_is_not_refused(made: Callable[..., SqlStore]) -> None:
    store = made(max_bytes=1000)
    store.open()
    store.write(frames(0, 5), 0)
    [lost] = store.write(frames(5, 100), 0)
    assert lost.frames == 5
    assert all_of(store) == list(range(5, 105))


def test_frames_that_are_too_old_go(made: Callable[..., SqlStore], time: Time) -> None:
    store = made(max_age_s=3600.0)
    store.open()
    store.write(frames(0, 4, start=NOW - 7200), 0)
    store.write(frames(4, 4), 0)
    assert store.trim(1) == [Lost(1, 4, 3, "too old", NOW - 7200 + 1 / 8, NOW - 7200 + 3 / 8)]
    assert store.trim(1) == []
    assert all_of(store) == [4, 5, 6, 7]
    time.now = NOW + 3600.6
    assert [lost.frames for lost in store.trim(6)] == []
    time.now = NOW + 5000
    assert [lost.frames for lost in store.trim(6)] == [2]
    assert store.held == 0


def test_no_frame_is_too_old_by_a_clock_that_is_not_set(made: Callable[..., SqlStore], time: Time) -> None:
    time.now, time.is_set = NOW - 9e8, False
    time.clock.look()
    store = made(max_age_s=3600.0)
    store.open()
    store.write(frames(0, 3, start=time.now, provisional=True), 0)
    time.now += 7200
    assert store.trim(0) == []
    time.clock.boot = "a later boot, to which nobody told how wrong the clock was"
    time.now, time.is_set = NOW, True
    time.clock.look()
    assert store.trim(0) == []
    assert all_of(store) == [0, 1, 2]


# --- clocks ---


def test_times_are_put_right_when_the_clock_is_set(made: Callable[..., SqlStore], place: Place, time: Time) -> None:
    time.now, time.is_set = 1_700_000_000.0, False
    time.clock.look()
    store = made()
    store.open()
    store.write(Chunk(0, ["early", "own"], [time.now, NOW - 50], [True, False]), 0)
    chunk = store.read(0, 10)
    assert (chunk.times, chunk.provisional) == ([1_700_000_000.0, NOW - 50], [True, False])
    store.trim(0)
    time.now, time.is_set = NOW + 0.25, True
    time.clock.look()
    chunk = store.read(0, 10)
    assert (chunk.times, chunk.provisional) == ([NOW + 0.25, NOW - 50], [])
    store.trim(0)
    right = "SELECT time_ms, provisional FROM emonhub_buffer ORDER BY number"
    assert place.query(right) == [(round((NOW + 0.25) * 1000), 0), (round((NOW - 50) * 1000), 0)]
    assert store.read(0, 10).times == [NOW + 0.25, NOW - 50]


def test_times_of_an_earlier_start_of_the_machine_are_put_right(
    made: Callable[..., SqlStore], place: Place, tmp_path: Path
) -> None:
    boots = tmp_path / "boots"
    before, after = Time(), Time()
    for time, boot in ((before, "first boot"), (after, "second boot")):
        time.clock.boot = boot
    before.now, before.is_set = NOW - 1e8, False
    before.clock.look()
    before.clock.remember(boots)
    store = SqlStore(place.url, "emoncms", clock=before.clock, form="bulk")
    store.open()
    store.write(frames(0, 2, start=before.now, provisional=True), 0)
    store.close()
    before.now, before.is_set = NOW, True
    before.clock.look()
    after.clock.remember(boots)
    store = SqlStore(place.url, "emoncms", clock=after.clock, form="bulk")
    store.open()
    assert store.read(0, 10).times == [NOW, NOW + 1 / 8]
    store.close()


# --- another target ---


def test_frames_written_for_another_target_are_set_aside(
    made: Callable[..., SqlStore], place: Place, time: Time
) -> None:
    first = made(form="names")
    first.open()
    first.write(frames(0, 3), 0)
    first.close()
    store = made()
    opened = store.open()
    assert opened.lost == (Lost(3, 3, 3, "written for another target", NOW, NOW + 2 / 8),)
    assert (opened.first, opened.end, opened.frames, store.held) == (3, 3, 0, 0)
    store.write(frames(3, 2), 3)
    assert all_of(store) == [3, 4]
    store.trim(5)
    assert place.query("SELECT state FROM emonhub_buffer") == [("set aside",)] * 3
    assert store.open().lost == ()
    time.now = NOW + 31 * 86400
    store.trim(5)
    assert place.query("SELECT state FROM emonhub_buffer") == []


# --- URLs ---


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "written as sqlite"),
        ("energy", "names no database that can be used"),
        ("oracle://hub:s3cr3t@db/energy", "names no database that can be used"),
        ("mysql://hub:s3cr3t@db", "has no database"),
        ("mysql:///energy", "has no user and no host"),
        ("postgresql://hub:s3cr3t@db:port/energy", "is no URL of a database"),
        ("mysql://hub:s3cr3t@db:99999/energy", "is no URL of a database"),
        ("mysql://hub:s3c/r3t@db/energy", "characters such as @ : /"),
        ("sqlite://frames.sqlite", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///var/lib/", "three slashes"),
        ("postgresql://hub:s3cr3t@db/energy?sslmode=off", "not known: sslmode"),
    ],
)
def test_a_bad_url_is_named_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(SettingError, match=r"^sql_url") as raised:
        SqlStore(url, "emoncms", clock=Time().clock)
    assert says in str(raised.value)
    assert "s3c" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_urls() -> None:
    assert Address.parse("mysql://hub:a%40b%3A@db/energy") == Address("mysql", "energy", "db", 3306, "hub", "a@b:")
    assert Address.parse("mariadb://hub@db:33/energy") == Address("mysql", "energy", "db", 33, "hub")
    assert Address.parse("postgres://hub:x@[::1]/energy") == Address("postgresql", "energy", "::1", 5432, "hub", "x")
    socket = Address.parse("postgresql://hub@localhost/energy?socket=/run/postgresql/.s.PGSQL.5432")
    assert socket.socket == "/run/postgresql/.s.PGSQL.5432"
    assert Address.parse("sqlite:///var/lib/a%20b/c.sqlite").database == "/var/lib/a b/c.sqlite"
    assert Address.parse("sqlite:////var/lib/c.sqlite").database == "/var/lib/c.sqlite"
    secret = Address.parse("mysql://hub:s3cr3t@db/energy")
    assert "s3cr3t" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(("scheme", "package"), [("mysql", "PyMySQL"), ("postgresql", "pg8000")])
def test_a_driver_that_is_not_installed_is_named(scheme: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.sql.address.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=rf"{package}: pip install 'emonhub\[sql\]'"):
        Address.parse(f"{scheme}://hub:s3cr3t@db/energy")
    assert Address.parse("sqlite:///a").kind == "sqlite"


def test_a_server_that_lets_nobody_in(served: Place, time: Time) -> None:
    assert served.server is not None
    nobody = served.server.url(served.name, password="wr0ng s3cr3t")
    elsewhere = served.server.url("nowhere")
    for url in (nobody, elsewhere):
        store = SqlStore(url, "emoncms", clock=time.clock)
        with pytest.raises(OSError, match=r"^database '\w+' on 127\.0\.0\.1:\d+: .+") as raised:
            store.open()
        assert "s3cr3t" not in str(raised.value)
        assert raised.value.__cause__ is not None
    served.url = served.server.url(served.name)
    store = SqlStore(served.url, "emoncms", clock=time.clock)
    assert store.open().frames == 0
    store.close()


def test_who_may_not_make_tables_may_have_been_given_them(served: Place, time: Time) -> None:
    assert served.server is not None
    owner = SqlStore(served.url, "other", clock=time.clock)
    owner.open()
    owner.close()
    tables = ("emonhub_buffer", "emonhub_nodes")
    rights = "SELECT, INSERT, UPDATE, DELETE"
    user = f"guest{id(time)}"
    if served.server.kind == "mysql":
        grants = [f"GRANT {rights} ON {served.name}.{table} TO {user}" for table in tables]
        served.server.admin(f"CREATE USER {user} IDENTIFIED BY 'x'", *grants)
    else:
        served.server.admin(f"CREATE USER {user} PASSWORD 'x'")
        for table in tables:
            served.query(f"GRANT {rights} ON {table} TO {user}")
    store = SqlStore(served.server.url(served.name, user, "x"), "emoncms", clock=time.clock)
    store.open()
    store.write(frames(0, 3), 0)
    assert all_of(store) == [0, 1, 2]
    store.close()


# --- when it fails ---


class Breaking:
    """Breaks the connection of a store at its next commits: before it, or after it."""

    def __init__(self, store: SqlStore, times: int, *, after: bool) -> None:
        self.left = times
        self.after = after
        self.real = store._database.connect
        store._database.connect = self.connect  # type: ignore[method-assign]
        store._database.close()

    def connect(self) -> Any:
        return _Breakable(self.real(), self)


class _Breakable:
    def __init__(self, connection: Any, breaking: Breaking) -> None:
        self._connection = connection
        self._breaking = breaking
        self._commits = 0

    def commit(self) -> None:
        self._commits += 1
        breaks = self._commits > 1 and self._breaking.left > 0  # the first one is that of the tables
        if not breaks or self._breaking.after:
            self._connection.commit()
        if breaks:
            self._breaking.left -= 1
            raise ConnectionResetError("the test has broken the connection")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_connection_that_breaks_at_the_commit_costs_nothing_and_writes_nothing_twice(
    store: SqlStore, place: Place, times: int, after: bool
) -> None:
    store.write(frames(0, 3), 0)
    breaking = Breaking(store, times, after=after)
    for chunk in (frames(3, 4), frames(7, 2)):
        while True:
            try:
                assert store.write(chunk, 0) == []
            except OSError:
                continue
            break
    assert breaking.left == 0
    assert all_of(store) == list(range(9))
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(9,)]
    held = store.held
    opened = store.open()
    assert (opened.frames, store.held) == (9, held)


def test_frames_acknowledged_after_a_write_of_which_nobody_knows_are_not_owed_again(
    store: SqlStore, place: Place
) -> None:
    Breaking(store, 1, after=True)
    with pytest.raises(OSError, match="broken"):
        store.write(frames(0, 5), 0)
    store.write(frames(3, 4), 3)  # meanwhile, three of them were acknowledged
    assert all_of(store) == [3, 4, 5, 6]
    assert place.query("SELECT COUNT(*) FROM emonhub_buffer") == [(4,)]


def test_trimming_again_after_a_broken_connection(store: SqlStore) -> None:
    store.write(frames(0, 10), 0)
    held = store.held
    Breaking(store, 1, after=True)
    with pytest.raises(OSError, match="broken"):
        store.trim(5)
    assert store.trim(5) == []
    assert store.held == held // 2
    assert all_of(store) == [5, 6, 7, 8, 9]


def test_a_dropped_table_is_made_again_and_what_was_in_it_is_counted(store: SqlStore, place: Place) -> None:
    store.describe("17", {"names": ["a"]})
    store.write(frames(0, 10), 0)
    place.query("DROP TABLE emonhub_buffer")
    place.query("DROP TABLE emonhub_nodes")
    lost = store.write(frames(10, 3), 2)
    assert lost == [Lost(0, 10, 10, "gone from the database", NOW, NOW + 9 / 8)]
    assert all_of(store) == [10, 11, 12]
    assert place.query("SELECT node FROM emonhub_nodes") == [("17",)]


def test_reading_from_a_table_that_is_gone_tells_what_is_lost(store: SqlStore, place: Place) -> None:
    store.write(frames(0, 10), 0)
    place.query("DROP TABLE emonhub_buffer")
    chunk = store.read(0, 100)
    assert chunk.records == []
    assert [lost.frames for lost in chunk.lost] == [10]
    assert store.read(0, 100).lost == []
    assert store.held == 0


def test_rows_that_somebody_deleted_while_it_was_away_are_counted(store: SqlStore, place: Place) -> None:
    store.write(frames(0, 10), 0)
    store.close()
    place.query("DELETE FROM emonhub_buffer WHERE number IN (3, 5, 6)")
    [lost] = store.trim(1)
    assert (lost.first, lost.end, lost.frames) == (1, 1, 3)
    assert records(store.read(1, 100)) == [1, 2]
    assert store.open().frames == 6


def test_a_server_that_hangs_up_on_an_idle_connection_is_no_trouble(served: Place, time: Time) -> None:
    assert served.server is not None
    store = SqlStore(served.url, "emoncms", clock=time.clock)
    store.open()
    for number in range(3):
        if served.server.kind == "mysql":
            [(own,)] = served.query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()")
            served.query(f"KILL {own}")
        else:
            away = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            served.query(f"{away} WHERE datname = current_database() AND pid <> pg_backend_pid()")
        assert store.write(frames(number, 1), 0) == []
    assert all_of(store) == [0, 1, 2]
    store.close()


def test_a_frozen_server_is_given_up(served: Place, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.server is not None
    for module in ("mysql", "postgresql"):
        for name in ("CONNECT_S", "ANSWER_S"):
            monkeypatch.setattr(f"emonhub.buffer.sql.{module}.{name}", 0.3)
    store = SqlStore(served.url, "emoncms", clock=time.clock)
    store.open()
    store.write(frames(0, 2), 0)
    served.server.freeze()
    try:
        for _ in range(2):  # on the connection that there is, and on a new one
            with pytest.raises(OSError, match="on 127"):
                store.write(frames(2, 2), 0)
    finally:
        served.server.thaw()
    for _ in range(50):  # it may have to find out first that its clients are gone
        with suppress(OSError):
            store.write(frames(2, 2), 0)
            break
    assert all_of(store) == [0, 1, 2, 3]
    store.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_was_away_is_used_again(served: Place, time: Time, how: str) -> None:
    assert served.server is not None
    store = SqlStore(served.url, "emoncms", clock=time.clock)
    store.open()
    store.write(frames(0, 3), 0)
    getattr(served.server, how)()
    try:
        for call in (lambda: store.write(frames(3, 2), 0), lambda: store.read(0, 10), lambda: store.trim(1)):
            with pytest.raises(OSError, match=r"^database 'energy' on 127\.0\.0\.1:\d+: .*refused"):
                call()
    finally:
        served.server.start()
    assert store.write(frames(3, 2), 0) == []
    assert all_of(store) == [0, 1, 2, 3, 4]
    store.close()


# --- SQLite's file ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "buffer.sqlite"


@pytest.fixture
def in_file(file: Path, time: Time) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite://{file}", "emoncms", clock=time.clock)
    store.open()
    yield store
    store.close()


def test_a_power_cut_costs_sqlite_nothing_that_was_written(in_file: SqlStore) -> None:
    connection = in_file._database._connection
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]  # FULL


@pytest.mark.parametrize("damage", ["overwritten", "cut short"])
def test_a_damaged_file_is_moved_aside_and_a_new_one_started(
    in_file: SqlStore, file: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    in_file.write(frames(0, 3000), 0)
    in_file.close()
    data = file.read_bytes()
    file.write_bytes(b"rubbish " * 1000 if damage == "overwritten" else data[: len(data) // 3 + 100])
    with caplog.at_level(logging.ERROR):
        lost = in_file.write(frames(3000, 2), 0)
    assert [(item.frames, item.reason) for item in lost] == [(3000, "gone from the database")]
    assert all_of(in_file) == [3000, 3001]
    assert (file.parent / "quarantine" / file.name).exists()
    assert "moved to" in caplog.text


def test_it_starts_whatever_it_finds(file: Path, time: Time) -> None:
    file.write_bytes(b"this is not a database, it is a text of some length\n" * 100)
    store = SqlStore(f"sqlite://{file}", "emoncms", clock=time.clock)
    assert store.open().frames == 0
    store.write(frames(0, 2), 0)
    assert all_of(store) == [0, 1]
    store.close()


def test_a_file_that_is_taken_away_is_made_again(in_file: SqlStore, file: Path) -> None:
    in_file.write(frames(0, 3), 0)
    for part in file.parent.glob("buffer.sqlite*"):
        part.unlink()
    lost = in_file.write(frames(3, 2), 0)
    assert [item.frames for item in lost] == [3]
    assert all_of(in_file) == [3, 4]
    assert file.exists()


def test_a_folder_that_can_not_be_made(tmp_path: Path, time: Time) -> None:
    (tmp_path / "file").touch()
    store = SqlStore(f"sqlite://{tmp_path}/file/buffer.sqlite", "emoncms", clock=time.clock)
    with pytest.raises(OSError, match=r"buffer\.sqlite: "):
        store.open()


def test_a_file_that_somebody_else_has_locked(in_file: SqlStore, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emonhub.buffer.sql.sqlite.ANSWER_S", 0.1)
    in_file.close()
    in_file.open()
    other = Place(f"sqlite://{file}")._connect()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OSError, match="locked"):
        in_file.write(frames(0, 2), 0)
    other.rollback()
    other.close()
    in_file.write(frames(0, 2), 0)
    assert all_of(in_file) == [0, 1]
