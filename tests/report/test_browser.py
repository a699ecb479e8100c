"""The report in a real browser: no sideways scrolling on a phone, a filter that works, nothing requested."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample import sample

from tuneworthy.report.html import write

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    write(sample(), path)
    return path.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window(browser: Any, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(address)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("svg.narrow").first.is_visible() == (width < 760)
    page.close()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_colours_follow_the_system(browser: Any, address: str, scheme: str, dark: bool) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    assert (brightness < 200) == dark
    page.close()


def test_text_can_be_read_against_its_ground(browser: Any, address: str) -> None:
    """WCAG AA: a contrast of at least 4.5 for all text colours on the page's ground, light and dark."""
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        contrasts = page.evaluate(
            """() => {
              const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
                .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
              const style = getComputedStyle(document.body), ground = light(style.backgroundColor), found = {};
              for (const one of document.querySelectorAll("h1, p, dt, dd, td, th, small, .mark, .hint, .quiet")) {
                const ink = light(getComputedStyle(one).color);
                found[one.className || one.tagName] =
                  (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
              }
              return found; }"""
        )
        assert {name: value for name, value in contrasts.items() if value < 4.5} == {}
        page.close()


def test_the_filter_shows_what_was_asked_for(browser: Any, address: str) -> None:
    record = sample()
    page = browser.new_page()
    page.goto(address)
    visible = page.locator("article:visible")
    assert visible.count() == len(record.cases)

    page.get_by_label("only where they differ").check()
    differ = [row for row in record.cases if len({o.score for o in row.outputs.values()}) > 1]
    assert visible.count() == len(differ) < len(record.cases)

    page.get_by_label("wrong in").select_option(label="classifier")
    wrong = [row for row in differ if row.outputs["classifier"].score == 0]
    assert 0 < visible.count() == len(wrong) < len(differ)
    assert page.locator("#shown").inner_text() == f"{len(wrong)} of {len(record.cases)} shown"
    page.close()


def test_without_javascript_everything_is_there(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("article:visible").count() == len(sample().cases)
    assert not page.locator("#filter").is_visible()
    context.close()


def test_nothing_is_requested_and_nothing_foreign_runs(browser: Any, address: str) -> None:
    page = browser.new_page()
    requested, said = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(address)
    page.wait_for_timeout(300)
    assert [url for url in requested if not url.startswith("data:")] == [address]
    assert said == []
    assert page.title() == "Do not tune: sample-triage"
    page.close()
