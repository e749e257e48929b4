"""Setting the hub up in the browser: the file, the forms, the difference, versions, conflicts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web.browser import PATIENCE_S, House, browser, house, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture
def page(chrome: Browser, home: House) -> Iterator[Page]:
    context = chrome.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.goto(f"{home.url}/#/setup")
    expect(editor(opened)).to_have_value(re.compile("The house of the page's tests"))
    yield opened
    context.close()


def editor(page: Page) -> Locator:
    return page.get_by_label("emonhub.conf", exact=True)


def change(page: Page, old: str, new: str) -> None:
    text = editor(page).input_value()
    assert old in text
    editor(page).fill(text.replace(old, new))


def line_of(home: House, start: str) -> int:
    return next(i for i, line in enumerate(home.file.read_text().split("\n"), 1) if line.strip().startswith(start))


def save(page: Page, how: str = "Save") -> None:
    page.get_by_role("button", name="Save…").click()
    page.get_by_role("dialog").get_by_role("button", name=how, exact=True).click()


def test_a_bad_edit_is_told_at_its_line_while_typing(page: Page, home: House) -> None:
    before = home.file.read_text()
    line = line_of(home, "com_baud")
    change(page, "com_baud = 38400", "com_baud = fast")
    problem = page.locator(".problems li", has_text=f"Line {line} ")
    expect(problem).to_contain_text("com_baud")
    expect(page.locator(".gutter [data-severity=error]")).to_have_text(str(line))
    expect(page.locator(".savebar .badge")).to_have_text("1 error")
    problem.get_by_role("button").click()
    selected = page.evaluate(
        "(() => {const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd)})()"
    )
    assert selected.strip() == "com_baud = fast"
    assert home.file.read_text() == before


def test_what_can_not_be_read_at_all_is_refused(page: Page, home: House) -> None:
    before = home.file.read_text()
    change(page, "[interfacers]", "[interfacers")
    expect(page.locator(".gutter [data-severity=error]").first).to_be_visible()
    save(page, "Save all the same")
    expect(page.locator(".toast[data-level=bad]")).to_contain_text("refused", ignore_case=True)
    assert home.file.read_text() == before


def test_a_change_is_shown_saved_taken_over_and_undone(page: Page, home: House) -> None:
    before = home.file.read_text()
    change(page, "nodename = shed", "nodename = barn")
    page.get_by_role("button", name="Difference").click()
    expect(page.locator(".diff-line.removed")).to_contain_text("nodename = shed")
    expect(page.locator(".diff-line.added")).to_contain_text("nodename = barn")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    save(page)
    expect(page.locator(".savebar")).to_be_hidden()
    assert home.file.read_text() == before.replace("nodename = shed", "nodename = barn")
    until(lambda: any(node["name"].startswith("barn") for node in home.ask("/nodes")), "the new name in use")
    page.goto(f"{home.url}/#/setup/versions")
    page.get_by_role("button", name="Undo the last change").click()
    save(page)
    expect(page.locator(".savebar")).to_be_hidden()
    assert home.file.read_text() == before


def test_a_form_changes_its_value_and_nothing_else(page: Page, home: House) -> None:
    before = home.file.read_text()
    page.goto(f"{home.url}/#/setup/forms/emoncms")
    field = page.get_by_label("interval", exact=False).first
    expect(field).to_have_value("1")
    field.fill("2")
    field.press("Tab")
    expect(page.locator(".savebar")).to_contain_text("+1 −1 lines")
    save(page)
    expect(page.locator(".savebar")).to_be_hidden()
    assert home.file.read_text() == before.replace("interval = 1\n", "interval = 2\n")


def test_a_bad_value_is_told_at_its_field(page: Page, home: House) -> None:
    page.goto(f"{home.url}/#/setup/forms/Board")
    field = page.get_by_label("com_baud", exact=False).first
    field.fill("fast")
    field.press("Tab")
    expect(page.locator(".field", has=page.locator("[name=com_baud]")).get_by_role("alert")).to_contain_text(
        "whole number"
    )
    expect(field).to_have_attribute("aria-invalid", "true")


def test_an_interfacer_is_added(page: Page, home: House) -> None:
    page.goto(f"{home.url}/#/setup/forms")
    page.get_by_role("button", name="Add an interfacer").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type").select_option("EmonHubSerialInterfacer")
    dialog.get_by_label("Name").fill("Meter")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".form h2")).to_have_text("Meter")
    page.goto(f"{home.url}/#/setup")
    expect(editor(page)).to_have_value(re.compile(r"\[\[Meter\]\]\n\s+Type = EmonHubSerialInterfacer"))


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(page: Page, home: House) -> None:
    change(page, "nodename = shed", "nodename = mine")
    expect(page.locator(".savebar .badge")).to_have_text("No errors")
    theirs = home.file.read_text() + "# theirs\n"
    home.file.write_text(theirs)
    save(page)
    dialog = page.get_by_role("dialog", name="The file was changed meanwhile")
    expect(dialog.locator(".diff-line.removed", has_text="# theirs")).to_be_visible()
    assert home.file.read_text() == theirs
    dialog.get_by_role("button", name="Take theirs, drop mine").click()
    expect(editor(page)).to_have_value(theirs_shown(theirs))


def theirs_shown(text: str) -> re.Pattern[str]:
    """Their text as the editor shows it: with the key masked."""
    return re.compile(re.escape(text.split("apikey", maxsplit=1)[0]) + ".*# theirs\n$", re.DOTALL)
