"""Everybody can use the page: logging in, small and large screens, light and dark, the keyboard, a screen reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.web.browser import PATIENCE_S, UNKNOWN, House, browser, house

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=PATIENCE_MS)

PASSWORD = "correct horse"
PARTS = ("overview", "nodes", "tap", "setup", "setup/forms/emoncms", "setup/versions", "buffer", "log")
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 375, "height": 812}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub with a password, and with a node that it does not know."""
    with house(tmp_path_factory.mktemp("house"), password=PASSWORD) as found:
        found.radio.on |= UNKNOWN
        yield found


def log_in(page: Page, home: House, password: str = PASSWORD) -> None:
    page.goto(home.url)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture(scope="module")
def cookies(chrome: Browser, home: House) -> Any:
    """Somebody who is logged in."""
    context = chrome.new_context()
    page = context.new_page()
    log_in(page, home)
    page.get_by_role("heading", name="All is well", exact=False).wait_for()
    found = context.cookies()
    context.close()
    return found


@pytest.fixture
def opened(chrome: Browser, cookies: Any) -> Iterator[Any]:
    """Opens the page as somebody who is logged in."""
    contexts = []

    def open_page(viewport: dict[str, int], theme: str = "light") -> Page:
        context = chrome.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        contexts.append(context)
        context.add_cookies(cookies)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    yield open_page
    for context in contexts:
        context.close()


def go(page: Page, home: House, part: str) -> None:
    page.goto(f"{home.url}/#/{part}")
    page.locator("h1").wait_for()
    page.wait_for_load_state("load")
    if part == "nodes":
        page.locator(".plot canvas").first.wait_for()
        page.locator(".unknown-node").first.wait_for()
    if part == "tap":
        page.locator(".tap-row").first.wait_for()
    if part == "setup":
        page.locator(".back div").first.wait_for()
    if part.startswith("setup/forms"):
        page.locator(".form .field").first.wait_for()


class TestLogin:
    def test_a_wrong_password_is_told_and_lets_nobody_in(self, chrome: Browser, home: House) -> None:
        page = chrome.new_page()
        log_in(page, home, "wrong")
        expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
        page.goto(home.url)
        expect(page).to_have_url(f"{home.url}/login")
        page.close()

    def test_the_right_one_shows_the_hub_and_logging_out_hides_it(self, chrome: Browser, home: House) -> None:
        page = chrome.new_page()
        log_in(page, home)
        expect(page.locator("h1")).to_have_text("All is well.")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        page.goto(home.url)
        expect(page).to_have_url(f"{home.url}/login")
        page.close()

    def test_the_part_that_was_asked_for_is_shown_after_logging_in(self, chrome: Browser, home: House) -> None:
        page = chrome.new_page()
        page.goto(f"{home.url}/#/log")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("h1")).to_have_text("Log")
        page.close()


@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["375 px", "1440 px"])
def test_nothing_is_cut_off(opened: Any, home: House, viewport: dict[str, int]) -> None:
    page = opened(viewport)
    for part in PARTS:
        go(page, home, part)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], part
        box = page.get_by_role("navigation", name="Parts").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= viewport["width"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(opened: Any, home: House, theme: str) -> None:
    page = opened(WIDE, theme)
    found = {}
    for part in PARTS:
        go(page, home, part)
        found[part] = faults(page)
    page.set_viewport_size({"width": NARROW["width"], "height": NARROW["height"]})
    for part in ("overview", "nodes", "setup"):
        go(page, home, part)
        found[f"{part}, narrow"] = faults(page)
    assert {part: list_ for part, list_ in found.items() if list_} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_dialogs(opened: Any, home: House, theme: str) -> None:
    page = opened(WIDE, theme)
    go(page, home, "tap")
    page.locator(".tap-row button").first.click()
    page.get_by_role("dialog", name="As a test case").wait_for()
    found = faults(page)
    page.keyboard.press("Escape")
    go(page, home, "setup")
    editor = page.get_by_label("emonhub.conf", exact=True)
    editor.fill(editor.input_value().replace("com_baud = 38400", "com_baud = fast"))
    expect(page.locator(".savebar .badge")).to_have_text("1 error")
    page.get_by_role("button", name="Save…").click()
    page.get_by_role("dialog", name="Save this?").wait_for()
    assert [*found, *faults(page)] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_the_login_page(chrome: Browser, home: House, theme: str) -> None:
    context = chrome.new_context(color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{home.url}/login")
    assert faults(page) == []
    context.close()


def faults(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    page.evaluate(AXE.read_text("utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {json.dumps([node['target'] for node in violation['nodes'][:3]])}"
        f" {violation['nodes'][0]['failureSummary']}"
        for violation in result["violations"]
        if violation["impact"] in SERIOUS
    ]


def test_the_theme_is_the_systems_until_one_is_chosen(opened: Any, home: House) -> None:
    page = opened(WIDE, "dark")
    go(page, home, "overview")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Theme: as the system has it. Change it").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light


def test_the_keyboard_is_enough(opened: Any, home: House) -> None:
    page = opened(WIDE)
    go(page, home, "overview")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Nodes":
            break
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Nodes")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    assert page.evaluate(outline) == "solid", "where one is can be seen"


def test_the_hubs_end_is_told_and_its_return(chrome: Browser, tmp_path: Path) -> None:
    with house(tmp_path) as mine:
        page = chrome.new_page()
        page.goto(mine.url)
        expect(page.locator("h1")).to_be_visible()
        mine.stop()
        expect(page.locator("#link")).to_have_text("Connection lost, trying again…")
        mine.start()
        expect(page.locator("#link")).to_have_text("")
        page.close()
