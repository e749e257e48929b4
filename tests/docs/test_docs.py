"""What the documentation says is so: commands, settings, configurations, links."""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import pytest

from emonhub import plugins
from emonhub.cli import _parser
from emonhub.cli.describe import own_settings, reference
from emonhub.config.load import HubSettings, WebSettings, load
from emonhub.nodes.definition import CodecSettings, NodeSettings
from emonhub.reporter import Reporter
from emonhub.settings import declared

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BY_HAND = [page for page in PAGES if page.name != "settings.md"]
TEXT = "\n".join(page.read_text("utf-8") for page in BY_HAND)

BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
SECRET_FILE = re.compile(r"\$\{file:([^}]+)\}")

CONFIGURATIONS = [
    pytest.param(page, block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, (_, language, block) in enumerate(BLOCK.findall(page.read_text("utf-8")), 1)
    if language == "ini"
]


def commands(parser: argparse.ArgumentParser, name: str = "emonhub") -> list[str]:
    """Every command that there is, with its own commands: `emonhub buffer`, `emonhub buffer status`."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                found += [f"{name} {word}", *commands(below, f"{name} {word}")]
    return found


@pytest.mark.parametrize("command", commands(_parser()))
def test_every_command_is_told_of(command: str) -> None:
    assert re.search(rf"{command}\b", TEXT), f"no page says a word of `{command}`"


def test_the_reference_is_up_to_date() -> None:
    there = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert there == reference(), "settings have changed: run `make reference`"


@pytest.mark.parametrize("settings", [HubSettings, WebSettings, NodeSettings, CodecSettings])
def test_every_key_of_a_section_is_explained(settings: type) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert [name for name in declared(settings) if not re.search(rf"`{name}`|^{name} = ", page, re.MULTILINE)] == []


@pytest.mark.parametrize("name", plugins.type_names())
def test_every_type_has_a_page_with_its_settings(name: str) -> None:
    pages = [page for page in BY_HAND if page.parent.name == "interfacers" and name in page.read_text("utf-8")]
    assert pages, f"no page in docs/interfacers tells of {name}"
    cls = plugins.find(name).cls
    assert cls is not None
    text = "\n".join(page.read_text("utf-8") for page in pages)
    common = declared(Reporter)
    own = [setting for setting in own_settings(cls) if setting not in common]
    assert [setting for setting in own if not re.search(rf"\b{setting}\b", text)] == []


@pytest.mark.parametrize(("page", "block"), CONFIGURATIONS)
def test_every_configuration_is_good(page: Path, block: str, tmp_path: Path) -> None:
    (tmp_path / "interfacers").mkdir()  # for types that the page itself has
    for number, (_, language, code) in enumerate(BLOCK.findall(page.read_text("utf-8"))):
        if language == "python":
            (tmp_path / "interfacers" / f"block{number}.py").write_text(code)
    for name in SECRET_FILE.findall(block):
        (tmp_path / Path(name).name).write_text("0123456789abcdef0123456789abcdef\n")
    file = tmp_path / "emonhub.conf"
    text = SECRET_FILE.sub(lambda match: f"${{file:{Path(match[1]).name}}}", block)
    file.write_text(whole(text))
    environ: dict[str, str] = defaultdict(lambda: "0123456789abcdef0123456789abcdef")
    try:
        problems = load(file, environ).problems
    finally:
        plugins.look_in(())
    # Parts of a file leave channels open; everything else must be as a reader should have it.
    assert [p for p in problems if "nobody" not in p.message and "channels" not in p.message] == []


def whole(block: str) -> str:
    """A block that shows a part of a file, with the sections that it stands in."""
    if not re.search(r"^\[interfacers\]", block, re.MULTILINE):
        first = re.search(r"^ *(\[+)", block, re.MULTILINE)
        inside = bool(first) and first is not None and first[1] == "[["
        block = f"[interfacers]\n{block}" if inside else f"{block}\n[interfacers]\n"
    return block if re.search(r"^\[hub\]", block, re.MULTILINE) else f"[hub]\n{block}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{page.name} links to {target}"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
