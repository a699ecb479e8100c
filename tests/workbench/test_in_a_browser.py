"""The workbench in a real browser: the way from rows without labels to a verdict, by keyboard; and what axe says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from desk import HOSTILE, queue
from small import OVERRIDDEN, USECASE, small_usecase
from tuneworthy.data import labelled
from tuneworthy.project import Project

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
PAGES = (
    "/",
    "/usecase",
    "/label",
    "/label/differences",
    "/rows",
    "/review",
    "/suite",
    "/run",
    "/compare",
    "/blind",
    "/verdict",
    "/live",
    "/gates",
)
RULES = {"pipe": "plumbing", "": "keys"}
"""the scripted model: it knows nothing of power"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("TUNEWORTHY_BROWSER") == "required":
            pytest.fail("no Chromium on this machine, and this run must not skip the browser")
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        yield opened
        opened.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = small_usecase(tmp_path / "small", usecase=USECASE + OVERRIDDEN)
    (found.folder / "scripted.json").write_text(json.dumps(RULES), "utf-8")
    queue(found)
    return found


def open_page(browser: Any, link: str, **settings: Any) -> tuple[Any, list[str]]:
    """A page behind the door, and what went wrong in it: errors, and requests to any other host."""
    context = browser.new_context(**settings)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda line: wrong.append(line.text) if line.type == "error" and "409" not in line.text else None
    )
    home = link.split("/?")[0]
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((home, "data:", "about:")) else None)
    page.goto(link)
    return page, wrong


def press(page: Any, key: str) -> None:
    """A key, and the next row."""
    before = page.locator("[name=row]").first.get_attribute("value")
    page.keyboard.press(key)
    page.wait_for_function(
        "before => { const row = document.querySelector('[name=row]'); return !row || row.value !== before }",
        arg=before,
    )


def test_from_rows_to_the_verdict_by_keyboard(browser: Any, project: Project, served: str) -> None:
    page, wrong = open_page(browser, served)
    home = served.split("/?")[0]
    page.goto(f"{home}/label")
    assert HOSTILE[:8] in page.inner_text(".row")
    for number in range(30):
        press(page, "123"[number % 3])
    entries, _ = labelled.read(project.labels_file)
    assert len(entries) == 30
    press(page, "u")
    press(page, "s")
    page.get_by_role("button", name="Put 29 settled rows into the examples").click()
    page.wait_for_selector("text=29 rows are examples now")

    page.goto(f"{home}/review")
    page.get_by_role("button", name="Look at all rows now").click()
    page.wait_for_selector(".findings")
    page.get_by_role("link", name="Random rows").click()
    press(page, "r")
    press(page, "w")
    assert "2 /" in page.inner_text(".bar")

    page.goto(f"{home}/suite")
    page.get_by_role("button", name="Lock it").click()
    page.wait_for_selector("text=Locked: from now on")

    page.goto(f"{home}/run")
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector("#ended", timeout=180_000)
    assert "Finished" in page.inner_text("#ended")
    page.goto(f"{home}/run")
    assert page.locator(".board tbody tr").count() >= 5, page.inner_text("main")

    page.goto(f"{home}/compare?reference=prompt&candidate=classifier&only=differ")
    assert page.locator("article.card").count() > 0
    page.goto(f"{home}/blind")
    page.select_option("[name=reference]", "prompt")
    page.select_option("[name=candidate]", "classifier")
    page.get_by_role("button", name="Draw the pairs").click()
    page.wait_for_selector("[name=pair]", state="attached")
    assert "classifier" not in page.inner_text(".row-form"), "nothing says whose answer it is"
    for key in ("1", "2", "0"):
        pair = page.locator("[name=pair]").get_attribute("value")
        page.keyboard.press(key)
        page.wait_for_function("before => document.querySelector('[name=pair]')?.value !== before", arg=pair)
    page.get_by_role("link", name="What the votes say").click()
    assert "classifier against prompt" in page.inner_text("main")

    page.goto(f"{home}/verdict")
    assert page.inner_text("h1") in ("Tune", "Do not tune", "Undecided")
    page.get_by_text("Read it here").click()
    assert page.frame_locator("iframe").locator("h1").inner_text() == page.inner_text("h1")
    page.context.close()
    assert wrong == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    browser: Any, project: Project, served: str, scheme: str, width: int
) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    page, wrong = open_page(browser, served, color_scheme=scheme, viewport={"width": width, "height": 900})
    home, found = served.split("/?")[0], []
    for path in PAGES:
        page.goto(home + path)
        page.evaluate(axe)
        for violation in page.evaluate("axe.run()")["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((path, violation["id"], [node["html"][:120] for node in violation["nodes"][:2]]))
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append((path, "scrolls sideways", []))
    page.context.close()
    assert found == []
    assert [line for line in wrong if "409" not in line] == [], "without a run there is nothing to compare: 409"


def test_the_pages_work_without_scripts(browser: Any, project: Project, served: str) -> None:
    page, _ = open_page(browser, served, java_script_enabled=False)
    page.goto(served.split("/?")[0] + "/label")
    page.get_by_role("button", name="keys").click()
    page.get_by_role("button", name="power").click()
    entries, _end = labelled.read(project.labels_file)
    assert [entry.expected for entry in entries] == ["keys", "power"]
    page.context.close()


def test_killed_while_labelling_the_last_confirmed_row_is_there(browser: Any, project: Project) -> None:
    command = [sys.executable, "-m", "tuneworthy", "workbench", str(project.folder), "--port", "18329"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        page, _ = open_page(browser, process.stderr.readline().split()[0])
        page.goto("http://127.0.0.1:18329/label")
        for _ in range(5):
            press(page, "2")
        process.kill()
    page.keyboard.press("1")
    page.wait_for_selector("text=The server does not answer")
    page.context.close()
    entries, _end = labelled.read(project.labels_file)
    assert [entry.expected for entry in entries] == ["power"] * 5


def test_two_people_label_at_once_and_lose_nothing(browser: Any, project: Project, served: str) -> None:
    ann, _ = open_page(browser, served)
    home = served.split("/?")[0]
    other = browser.new_context(storage_state=ann.context.storage_state())
    other.add_cookies([{"name": "tuneworthy-name", "value": "bo", "url": home}])
    bo = other.new_page()
    ann.goto(f"{home}/label")
    bo.goto(f"{home}/label")
    for _ in range(8):
        press(ann, "1")
        press(bo, "2")
    entries, _end = labelled.read(project.labels_file)
    assert len(entries) == 16
    assert {entry.expected for entry in entries if entry.by == "bo"} == {"power"}
    once = [entry.row for entry in entries if int(entry.row, 16) % labelled.TWICE]
    assert len(once) == len(set(once)), "only rows that are labelled twice on purpose were shown to both"
    ann.context.close()
    other.close()
