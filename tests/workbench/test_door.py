"""Nobody comes in without the link, from elsewhere, or on behalf of another site."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from desk import PORT, token, visitor
from tuneworthy.workbench.app import GET, POST, Workbench

BASE = f"http://127.0.0.1:{PORT}"


def stranger(bench: Workbench, **headers: str) -> TestClient:
    return TestClient(bench.app(), base_url=BASE, headers=headers)


@pytest.mark.parametrize("path", [path for path in GET if "{" not in path])
def test_every_page_wants_the_link(bench: Workbench, path: str) -> None:
    answer = stranger(bench).get(path)
    assert answer.status_code == 403
    assert bench.project.usecase.name not in answer.text


@pytest.mark.parametrize("path", [path for path in POST if "{" not in path])
def test_every_change_wants_the_link_the_origin_and_the_form_token(bench: Workbench, path: str) -> None:
    assert stranger(bench, origin=BASE).post(path, data={}).status_code == 403
    inside = visitor(bench)
    good = token(inside)
    before = bench.project.labels_file.exists(), bench.project.usecase_file.read_text("utf-8")
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{PORT + 1}", ""):
        answer = inside.post(path, data={"form": good}, headers={"origin": origin})
        assert answer.status_code == 403, origin
    for wrong in ({}, {"form": ""}, {"form": "0" * 64}, {"form": "é"}):
        assert inside.post(path, data=wrong).status_code == 403, wrong
    assert before == (bench.project.labels_file.exists(), bench.project.usecase_file.read_text("utf-8"))


def test_a_link_opens_one_browser(bench: Workbench) -> None:
    link = bench.link().removeprefix(BASE)
    first = stranger(bench)
    assert first.get(link).status_code == 200
    assert first.get(link).status_code == 200, "the same browser may press reload"
    assert stranger(bench).get(link).status_code == 403
    assert stranger(bench).get("/?token=").status_code == 403
    assert stranger(bench).get("/?token=%E2%82%AC").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""])
def test_another_name_for_this_machine_is_refused(bench: Workbench, host: str) -> None:
    inside = visitor(bench)
    assert inside.get("/", headers={"host": host}).status_code == 400


def test_every_answer_carries_the_policy(bench: Workbench) -> None:
    inside = visitor(bench)
    for answer in (inside.get("/"), inside.get("/static/workbench.js"), stranger(bench).get("/"), inside.get("/rows")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    cookie = next(c for c in inside.cookies.jar if c.name == "tuneworthy")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"


def test_a_form_that_is_too_large_or_no_text_is_refused(bench: Workbench) -> None:
    inside = visitor(bench)
    good = token(inside)
    assert inside.post("/label", data={"form": good, "note": "x" * 2_100_000}).status_code == 413
    raw = {"content-type": "application/x-www-form-urlencoded"}
    assert inside.post("/label", content=b"form=\xff\xfe", headers=raw).status_code == 400
    assert inside.post("/label", content=b"form=%ff", headers=raw).status_code == 400


def test_settings_lead_back_to_our_own_pages_only(bench: Workbench) -> None:
    inside = visitor(bench)
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        form = {"form": token(inside), "name": "ann", "back": back}
        assert inside.post("/settings", data=form, follow_redirects=False).headers["location"] == "/"
