"""`emonhub buffer`: status, peek, pause and check. Export and import have tests of their own."""

from __future__ import annotations

import json
import lzma
import os
from typing import TYPE_CHECKING

import pytest

from emonhub.buffer.deadletters import DeadLetters
from emonhub.buffer.folder import ReporterFolder
from tests.cli.kept import START, Kept, cargos

if TYPE_CHECKING:
    from pathlib import Path


def status(kept: Kept, name: str = "org") -> dict[str, object]:
    found = json.loads(kept.good("buffer", "status", name, "--json"))
    (reporter,) = found["reporters"]
    assert isinstance(reporter, dict)
    return reporter


def test_status_of_what_has_never_run(kept: Kept) -> None:
    out = kept.good("buffer", "status")
    assert out.count("nothing yet: it has not run") == 2
    assert not kept.folder().exists()  # looking makes nothing


@pytest.mark.parametrize("killed", [False, True])
def test_status_counts_what_is_owed_and_kept(kept: Kept, *, killed: bool) -> None:
    kept.configure(org="        keep = ever")
    kept.owe(cargos(300), delivered=120, killed=killed)
    found = status(kept)
    assert found["mode"] == "journal"
    owed, there = found["owed"], found["kept"]
    assert isinstance(owed, dict)
    assert isinstance(there, dict)
    assert (owed["frames"], owed["first_time"], owed["last_time"]) == (180, START + 600.25, START + 1495.25)
    assert found["in_front"] == (180 if killed else 0)
    if not killed:  # what was delivered before it came into the journal is not there yet
        assert (there["frames"], there["last_time"]) == (120, START + 595.25)
        assert owed["bytes"] + there["bytes"] == sum(path.stat().st_size for path in kept.folder().glob("*.log"))
        assert owed["bytes"] > there["bytes"] > 0
    assert (found["hub"], found["sender"], found["paused"], found["inbox"]) == (0, 0, False, 0)
    text = kept.good("buffer", "status", "org")
    assert "no hub runs" in text
    assert "180 frames" in text


def test_status_tells_who_runs_and_sends(kept: Kept) -> None:
    kept.owe(cargos(3))
    folder = ReporterFolder(kept.path / "state", "org")
    assert folder.own()
    try:
        assert (status(kept)["hub"], status(kept)["sender"]) == (os.getpid(), 0)
        assert folder.lock()
        assert status(kept)["sender"] == os.getpid()
        assert f"a hub runs (process {os.getpid()})" in kept.good("buffer", "status", "org")
    finally:
        folder.unlock()
        folder.disown()
    assert (status(kept)["hub"], status(kept)["sender"]) == (0, 0)


def test_status_of_letters_inbox_and_quarantine(kept: Kept) -> None:
    kept.owe(cargos(3))
    DeadLetters(kept.folder() / "deadletters.jsonl").add(START, "10,1e999", "no number", START)
    ReporterFolder(kept.path / "state", "org").lay_in([(START, "10,1,2")])
    (kept.folder() / "quarantine").mkdir()
    (kept.folder() / "quarantine" / "bad.log").touch()
    found = status(kept)
    assert (found["dead_letters"], found["inbox"], found["quarantined"]) == (1, 1, ["bad.log"])
    text = kept.good("buffer", "status", "org")
    assert "emonhub deadletter list org" in text
    assert "1 file to be taken in once it runs" in text
    assert "1 damaged file set aside" in text


def test_a_folder_without_a_reporter_is_shown_by_its_own_name(kept: Kept) -> None:
    text = kept.conf.read_text()
    kept.conf.write_text(text.replace("[[org]]", "[[my org/1]]"))
    kept.owe(cargos(7), "my org/1")
    kept.conf.write_text(text)
    out = kept.good("buffer", "status")
    assert "my org/1    (not in the configuration: nothing sends this)" in out
    assert "7 frames" in out
    assert kept.good("buffer", "peek", "my org/1").count("\n") == 7


def test_a_reporter_in_memory_is_said_to_be_out_of_reach(kept: Kept) -> None:
    kept.configure(org="        buffer_mode = memory")
    assert "memory: what it owes is in the hub's memory only" in kept.good("buffer", "status", "org")
    for command in (("buffer", "peek"), ("buffer", "pause"), ("deadletter", "list")):
        assert "set buffer_mode = journal" in kept.bad(1, *command, "org")


def test_status_takes_a_configuration_as_check_does(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    from emonhub.cli import main  # noqa: PLC0415

    assert main(["buffer", "status", str(kept.conf), "local"]) == 0
    assert capsys.readouterr().out.startswith("local\n")


def test_an_unknown_reporter_and_a_missing_file(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    from emonhub.cli import main  # noqa: PLC0415

    assert kept.bad(2, "buffer", "peek", "orgg") == "emonhub: there is no reporter orgg: known are org, local\n"
    assert main(["buffer", "status", "--config", str(kept.path / "none.conf")]) == 2
    assert "none.conf" in capsys.readouterr().err


# peek


def test_peek_shows_names_values_and_units(kept: Kept) -> None:
    kept.owe(cargos(20), delivered=2)
    lines = kept.good("buffer", "peek", "org", "-n", "2").splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "10 emonTx  P1=2 W, Vrms=242.5 V, rssi=-40",
        "11 emonTH  temperature=3 C, humidity=243.5 %, rssi=-41",
    ]
    assert "P1=18 W" in kept.good("buffer", "peek", "org", "-n", "2", "--last")
    assert "P1=0 W" in kept.good("buffer", "peek", "org", "-n", "1", "--all")


def test_peek_at_what_a_killed_hub_left(kept: Kept) -> None:
    """A node that the configuration knows has its names, also before the journal does."""
    kept.owe(cargos(4), delivered=2, killed=True)
    lines = kept.good("buffer", "peek", "org").splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("10 emonTx  P1=2 W, Vrms=242.5 V, rssi=-40")


def test_peek_at_nothing(kept: Kept) -> None:
    kept.owe(cargos(2), delivered=2)
    assert kept.good("buffer", "peek", "org") == "org owes nothing; see --delivered\n"


# pause


def test_pause_and_resume(kept: Kept) -> None:
    out = kept.good("buffer", "pause", "org", "local")
    assert "org is paused: a hub will send nothing to it, until emonhub buffer resume org" in out
    assert ReporterFolder(kept.path / "state", "org").paused
    assert "PAUSED" in kept.good("buffer", "status", "org")
    assert "org is paused already" in kept.good("buffer", "pause", "org")
    assert kept.good("buffer", "resume", "org") == "org is resumed\n"
    assert not ReporterFolder(kept.path / "state", "org").paused
    assert ReporterFolder(kept.path / "state", "local").paused


def test_pause_does_all_or_nothing(kept: Kept) -> None:
    assert "there is no reporter xyz" in kept.bad(2, "buffer", "pause", "org", "xyz")
    assert not kept.folder().exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_root_leaves_files_that_the_hubs_user_can_use(kept: Kept) -> None:
    """In a process of its own, as it does not come back from being that user."""
    nobody = 65534
    kept.owe(cargos(2))
    (kept.path / "in.csv").write_text(f"unix,node,value1\n{START},10,5\n")
    for path in [kept.path, *kept.path.rglob("*")]:
        os.chown(path, nobody, nobody)
    let_in(kept.path)
    if (child := os.fork()) == 0:
        os._exit(kept("buffer", "import", "org", kept.path / "in.csv")[0])
    assert os.waitpid(child, 0)[1] == 0
    (laid,) = (kept.folder() / "inbox").glob("*.txt")
    assert (laid.stat().st_uid, laid.parent.stat().st_uid) == (nobody, nobody)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_who_may_not_is_told_how(kept: Kept) -> None:
    kept.owe(cargos(2))
    kept.folder().parent.chmod(0o700)
    kept.path.chmod(0o755)
    let_in(kept.path)
    if (child := os.fork()) == 0:
        os.setgid(65534)
        os.setuid(65534)
        found = [kept("buffer", *command, "org") for command in (("status",), ("pause",), ("peek",))]
        os._exit(0 if all(status == 1 and "no permission: use sudo" in err for status, _, err in found) else 9)
    assert os.waitpid(child, 0)[1] == 0


def let_in(path: Path) -> None:
    """Let others pass through pytest's own folders, which are closed to them."""
    for parent in path.parents:
        if not parent.stat().st_mode & 0o001 and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o001)


def test_another_state_directory(kept: Kept) -> None:
    """Such as one from the card of another machine."""
    kept.owe(cargos(3))
    (kept.path / "state").rename(kept.path / "copy")
    assert kept.good("buffer", "peek", "org", "--state-dir", kept.path / "copy").count("\n") == 3
    assert "it has not run yet" in kept.bad(1, "buffer", "peek", "org")
    assert "is no directory" in kept.bad(2, "buffer", "peek", "org", "--state-dir", kept.path / "none")


# check


def journal(kept: Kept) -> Path:
    (path,) = kept.folder().glob("*.log")
    return path


def test_check_of_what_is_whole(kept: Kept) -> None:
    kept.owe(cargos(50))
    kept.owe(cargos(5), killed=True)
    out = kept.good("buffer", "check")
    assert out == "org: 2 files, 55 good frames: all is well\n"


def test_check_counts_what_damage_costs(kept: Kept) -> None:
    kept.owe(cargos(50))
    lines = journal(kept).read_bytes().split(b"\n")
    for number in (10, 20, 21):
        lines[number] = lines[number][:-1] + b"#"
    journal(kept).write_bytes(b"\n".join(lines))
    code, out, _ = kept("buffer", "check", "org")
    assert code == 1
    assert f"{journal(kept)}: 3 bad lines: 11, 21-22 (3 frames lost)\n" in out
    assert out.endswith("org: 1 file, 47 good frames: 3 frames lost\n")


@pytest.mark.parametrize("how", ["cut", "emptied", "packed"])
def test_check_of_a_file_that_is_gone_in_part_or_whole(kept: Kept, how: str) -> None:
    kept.owe(cargos(50))
    path = journal(kept)
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: data.index(b"\n", len(data) // 2) + 1])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(data)[:-30])
        path.unlink()
    code, out, _ = kept("buffer", "check", "org")
    assert code == 1
    good = 0 if how != "cut" else sum(line[9:10] != b"=" for line in path.read_bytes().split(b"\n")[:-1])
    assert f"org: 1 file, {good} good frames: {50 - good} frames lost" in out


def test_check_of_what_costs_no_frame(kept: Kept) -> None:
    kept.configure(org="        keep = ever")
    kept.owe(cargos(50), delivered=10)
    cursor = kept.folder() / "cursor"
    cursor.write_bytes(b"x" + cursor.read_bytes()[1:] if cursor.read_bytes()[0:1].strip(b"\0") else b"x" * 64)
    (kept.folder() / "deadletters.jsonl").write_text('{"id": 1}\nrubbish\n')
    code, out, _ = kept("buffer", "check", "org")
    assert code == 1
    assert "cursor: slot 1 of 2 is bad: at most, some frames are sent twice" in out
    assert "deadletters.jsonl: 1 bad line: 2" in out


def test_check_of_a_damaged_front(kept: Kept) -> None:
    kept.owe(cargos(5), killed=True)
    from emonhub.archive.record import front_folder  # noqa: PLC0415

    (path,) = front_folder(kept.folder()).glob("front-*.log")
    path.write_bytes(path.read_bytes().replace(b"240.5", b"241.5"))
    code, out, _ = kept("buffer", "check", "org")
    assert code == 1
    assert f"{path.name}: 1 bad block of frames" in out
