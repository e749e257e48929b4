"""What `emonhub run` does around the hub."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from emonhub.cli import EXIT_BAD_FILE, main, run
from emonhub.cli.page import Page

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_what_nobody_waited_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def die() -> None:
        raise ValueError("boom")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(run._log_stray)
    task = asyncio.create_task(die(), name="stray")
    await asyncio.wait([task])
    del task
    loop.call_exception_handler({"message": "A transport broke", "exception": OSError("gone")})
    assert "Task exception was never retrieved" in caplog.text
    assert "(task stray): boom" in caplog.text
    assert "ValueError" in caplog.text
    assert "A transport broke: gone" in caplog.text


async def test_a_page_that_fails_costs_the_page_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "emonhub.web.server", None)  # importing it raises
    page = Page()
    hub: Any = SimpleNamespace(configuration=SimpleNamespace(web=SimpleNamespace(port=8080)))
    page.hub = hub
    await page.serve()
    assert "The page can't be served" in caplog.text
    await page.stop()


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EXIT_BAD_FILE
    assert "COMMAND" in capsys.readouterr().out


def test_a_folder_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path)]) == EXIT_BAD_FILE
    assert "can't be read: Is a directory" in capsys.readouterr().err
