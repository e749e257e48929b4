"""The page, driven as a user drives it: a real browser, a real hub, a radio board and an emoncms beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web.browser import APIKEY, EVIL, KNOWN, PATIENCE_S, POISON, UNKNOWN, House, browser, house, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page

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
    """The page, opened; a test fails when the console tells of an error."""
    context = chrome.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            errors.append(message.text)

    opened.on("console", listen)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    foreign: list[str] = []
    opened.on("request", lambda request: None if request.url.startswith(home.url) else foreign.append(request.url))
    opened.goto(home.url)
    yield opened
    context.close()
    assert not errors
    assert not [url for url in foreign if not url.startswith(("data:", "blob:"))], "it asks elsewhere"


def go(page: Page, home: House, where: str) -> None:
    page.goto(f"{home.url}/#/{where}")


def card_of(page: Page, name: str) -> str:
    return f'article:has(h2:text-is("{name}"))'


class TestOverview:
    def test_says_that_all_is_well(self, page: Page) -> None:
        expect(page.locator("h1")).to_have_text("All is well.")
        expect(page.locator("#state")).to_contain_text("All is well")

    def test_the_wiring_shows_who_sends_to_whom(self, page: Page) -> None:
        wiring = page.locator("svg.wiring")
        expect(wiring.get_by_role("link", name=re.compile("running.*Board"))).to_be_visible()
        expect(wiring.get_by_role("link", name=re.compile("running.*emoncms"))).to_be_visible()
        expect(wiring.locator(".channel")).to_have_text(re.compile("ToEmonCMS"))
        expect(wiring.locator(".wire")).to_have_count(2)

    def test_a_box_of_the_wiring_leads_to_its_card(self, page: Page) -> None:
        page.get_by_role("link", name=re.compile("running.*emoncms")).click()
        expect(page.locator("article:focus h3")).to_have_text("emoncms")

    def test_an_outage_is_told_with_where_to_look(self, page: Page, home: House) -> None:
        home.emoncms.down = True
        try:
            expect(page.locator("h1")).to_have_text("1 thing needs a look")
            page.locator(".reasons").get_by_role("link", name="Its buffer").click()
            expect(page.locator(".owed .problem-text")).to_contain_text("503")
        finally:
            home.emoncms.down = False
        go(page, home, "overview")
        expect(page.locator("h1")).to_have_text("All is well.")


class TestNodes:
    def test_the_first_values_and_their_last_hour_are_there_soon(self, page: Page, home: House) -> None:
        page.set_default_timeout(3000)
        go(page, home, "nodes")
        page.reload()
        page.locator(card_of(page, EVIL)).get_by_role("button", name="grid 272 W").wait_for()
        page.locator(card_of(page, EVIL)).locator(".plot canvas").wait_for()

    def test_a_name_with_a_script_in_it_stays_text(self, page: Page, home: House) -> None:
        go(page, home, "nodes")
        expect(page.get_by_role("heading", name=EVIL)).to_be_visible()
        for part in ("tap", "buffer", "log", "setup", "overview"):
            go(page, home, part)
            expect(page.locator("h1")).to_be_visible()
        assert page.locator("main img").count() == 0

    def test_a_plot_is_chosen_and_stays_chosen(self, page: Page, home: House) -> None:
        go(page, home, "nodes")
        shed = page.locator(card_of(page, "shed"))
        shed.get_by_role("button", name=re.compile("^humidity")).click()
        expect(shed.locator(".plot-name")).to_have_text(["temperature", "humidity"])
        page.reload()
        expect(shed.locator(".plot-name")).to_have_text(["temperature", "humidity"])
        shed.get_by_role("button", name="Close the plot of humidity").click()
        expect(shed.locator(".plot-name")).to_have_text(["temperature"])

    def test_a_node_that_was_unplugged_is_shown_silent(self, page: Page, home: House) -> None:
        go(page, home, "nodes")
        shed = page.locator(card_of(page, "shed"))
        expect(shed.locator(".badge")).to_have_text(re.compile("ago|now"))
        del home.radio.on[11]
        try:
            expect(shed).to_have_class(re.compile("stale"))
            expect(shed.locator(".badge")).to_have_text(re.compile("silent for"))
            expect(page.locator("#state")).to_contain_text("1 thing needs a look")
            go(page, home, "overview")
            expect(page.locator(".reasons")).to_contain_text("shed is silent")
        finally:
            home.radio.on[11] = KNOWN[11]
        expect(page.locator("h1")).to_have_text("All is well.")

    def test_a_proposed_node_is_accepted(self, page: Page, home: House) -> None:
        before = home.file.read_text()
        home.radio.on |= UNKNOWN
        go(page, home, "nodes")
        unknown = page.locator(".unknown-node", has_text="Node 23")
        template = unknown.get_by_role("region", name="Template emonTH", exact=False).first
        expect(template).to_contain_text("20.5 C")
        template.get_by_role("button", name="Accept").click()
        expect(unknown).to_be_hidden()
        known = page.locator("article.node", has_text="node 23")
        expect(known.get_by_role("button", name="temperature 20.5")).to_be_visible()
        assert home.file.read_text() == before, "the user's own file is the user's"


class TestTap:
    def test_frames_pass_from_raw_to_where_they_went(self, page: Page, home: House) -> None:
        go(page, home, "tap")
        row = page.locator(".tap-row", has_text=EVIL).first
        expect(row.locator(".tap-raw")).to_have_text("OK 10 16 1 44 1 (-70)")
        expect(row.locator(".tap-values")).to_contain_text("grid 272 W")
        expect(row.locator(".tap-to")).to_have_text("ToEmonCMS → emoncms")

    def test_what_could_not_be_used_says_why(self, page: Page, home: House) -> None:
        go(page, home, "tap")
        page.locator(".tap-row").first.wait_for()
        home.radio.say(b"OK 10 1 2 3 (-50)\r\n")
        page.get_by_label("only what could not be used").check()
        bad = page.locator(".tap-bad").first
        expect(bad.locator(".tap-raw")).to_have_text("OK 10 1 2 3 (-50)")
        expect(bad.locator(".badge")).to_have_text("length")
        expect(bad).to_contain_text("went nowhere")

    def test_filter_and_pause(self, page: Page, home: House) -> None:
        go(page, home, "tap")
        page.locator(".tap-row", has_text="shed").first.wait_for()
        page.get_by_label("Node").fill("shed")
        expect(page.locator(".tap-row", has_text=EVIL)).to_have_count(0)
        page.get_by_role("button", name="Pause").click()
        shown = page.locator(".tap-row").count()
        expect(page.get_by_role("status").filter(has_text="came since")).to_have_text(
            re.compile(r"[1-9]\d* frames came")
        )
        assert page.locator(".tap-row").count() == shown
        page.get_by_role("button", name="Go on").click()
        expect(page.locator(".tap-row").nth(shown + 1)).to_be_visible()

    def test_a_frame_is_copied_as_a_test_case(self, page: Page, home: House) -> None:
        go(page, home, "tap")
        page.locator(".tap-row", has_text="shed").first.get_by_role("button").click()
        dialog = page.get_by_role("dialog", name="As a test case")
        expect(dialog.get_by_label("wire", exact=True)).to_have_text("OK 11 205 0 234 1 (-71)\n")
        expect(dialog.get_by_label("conf", exact=True)).to_contain_text("com_port = PORT")
        expect(dialog.get_by_label("conf", exact=True)).to_contain_text("nodename = shed")
        dialog.get_by_role("button", name="Copy expected.json").click()
        text = page.evaluate("navigator.clipboard.readText()")
        assert '"values":[20.5,49]' in text
        assert '"nodename":"shed"' in text


class TestBuffer:
    def test_paused_it_piles_up_and_resumed_it_drains(self, page: Page, home: House) -> None:
        go(page, home, "buffer/emoncms")
        owed = page.locator(".owed .big")
        page.get_by_role("button", name="Pause").click()
        try:
            expect(page.locator(".owed .badge")).to_have_text("paused")
            expect(owed).to_have_text(re.compile(r"^[2-9]\d frames owed"))
            expect(page.get_by_label("Waiting frames").locator("tbody tr")).to_have_count(20)
            expect(page.get_by_label("Waiting frames")).to_contain_text("temperature 20.5 C")
            expect(page.locator("#state")).to_contain_text("paused")
        finally:
            page.get_by_role("button", name="Resume").click()
        expect(owed).to_have_text(re.compile(r"^\d frames? owed"))
        assert home.reporter()["dropped"] == {}

    def test_what_is_owed_is_exported(self, page: Page, home: House) -> None:
        go(page, home, "buffer/emoncms")
        page.get_by_role("button", name="Pause").click()
        try:
            expect(page.locator(".owed .badge")).to_have_text("paused")
            expect(page.locator(".owed .big")).to_have_text(re.compile(r"^[1-9]\d frames owed"))
            with page.expect_download() as download:
                page.get_by_role("link", name="Download CSV").click()
            text = download.value.path().read_text()
            assert "temperature" in text
            assert "20.5" in text
        finally:
            page.get_by_role("button", name="Resume").click()

    def test_a_dead_letter_is_shown_with_its_reason_and_dropped(self, page: Page, home: House) -> None:
        go(page, home, "buffer/emoncms")
        home.radio.say(b"OK 13 1 0 (-50)\r\n")
        letters = page.get_by_label("Dead letters", exact=True).locator("tbody tr")
        expect(letters).to_have_count(1)
        expect(letters.first).to_contain_text("400")
        expect(letters.first).to_contain_text(POISON)
        letters.first.get_by_role("button", name="Drop").click()
        page.get_by_role("dialog").get_by_role("button", name="Drop").click()
        expect(page.get_by_text("No dead letters")).to_be_visible()
        until(lambda: home.ask("/reporters/emoncms/deadletters") == [], "no dead letters")

    def test_what_was_delivered_is_replayed(self, page: Page, home: House) -> None:
        go(page, home, "buffer/emoncms")
        until(lambda: home.reporter()["acknowledged"] > 0, "something delivered")
        before = home.emoncms.frames
        page.get_by_role("button", name="Start the replay").click()
        replay = page.get_by_role("article", name="Replay of emoncms into emoncms")
        expect(replay.locator(".badge")).to_have_text("done")
        sent = replay.locator(".hint").inner_text()
        found = re.fullmatch(r"(\d+) of (\d+) frames(?:, (\d+) refused)?", sent)
        assert found is not None, sent
        assert int(found[1]) + int(found[3] or 0) == int(found[2])
        assert home.emoncms.frames >= before + int(found[1])


class TestLog:
    def test_lines_are_filtered(self, page: Page, home: House) -> None:
        go(page, home, "log")
        expect(page.locator(".log")).to_contain_text("Board")
        page.get_by_label("Text").fill("the page is at")
        expect(page.locator(".log li")).to_have_count(1)
        page.get_by_label("Text").fill("")
        page.get_by_label("Interfacer").select_option(label="Board")
        expect(page.locator(".log-of").first).to_have_text("Board")
        assert set(page.locator(".log-of").all_text_contents()) == {"Board"}

    def test_an_interfacer_tells_more_at_once(self, page: Page, home: House) -> None:
        go(page, home, "log")
        page.get_by_text("How much each tells").click()
        page.get_by_label("Board", exact=True).select_option("DEBUG")
        expect(page.locator(".log li", has_text="DEBUG").first).to_contain_text("Board")
        page.get_by_label("Board", exact=True).select_option("")


class TestSecrets:
    def test_the_apikey_is_nowhere_on_the_page(self, page: Page, home: House) -> None:
        for part in ("overview", "nodes", "tap", "setup", "setup/forms/emoncms", "buffer", "log"):
            go(page, home, part)
            page.locator("h1").wait_for()
            assert APIKEY not in page.content()
            assert APIKEY not in page.evaluate(
                "[...document.querySelectorAll('input,textarea')].map(e => e.value).join()"
            )
