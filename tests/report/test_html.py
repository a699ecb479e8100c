"""The report says what the record says, carries everything inside, and shows untrusted text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample import BIDI, HOSTILE, RIGHT_RATE, UNICODE, sample

from tuneworthy.records import LeverResult
from tuneworthy.report import html as report
from tuneworthy.report.html import render, write
from tuneworthy.runs import ArmReport, CaseOutput, CaseRow, RunRecord
from tuneworthy.verdict import Decision


class _Page(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not close in order."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(one == tag for one, _ in self.tags)


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return sample()


@pytest.fixture(scope="module")
def page(record: RunRecord) -> _Page:
    return _Page(render(record))


@pytest.mark.parametrize(
    ("decision", "headline"), [("tune", "Tune"), ("do_not_tune", "Do not tune"), ("undecided", "Undecided")]
)
def test_headline_and_the_three_sentences(decision: Decision, headline: str) -> None:
    record = sample(decision=decision)
    text = render(record)
    assert f"<h1>{headline}</h1>" in text
    assert f'<body class="{decision}">' in text
    shown = _Page(text).text
    todo, why, missing = record.verdict.sentences  # each stands under a heading that says its first words
    assert todo in shown
    assert why.removeprefix("Why ") in shown
    assert missing.removeprefix("Not measured: ") in shown


def test_undecided_names_the_number_of_cases() -> None:
    assert "More cases that would settle it" in render(sample(decision="undecided"))
    assert "More cases that would settle it" not in render(sample(decision="tune"))


def test_nothing_is_loaded_from_elsewhere(page: _Page) -> None:
    loads = [(tag, a) for tag, a in page.tags if {"src", "srcset", "href", "action", "style"} & a.keys()]
    own = ("#", "data:,", "data:text/csv;")
    assert all(str(a["href"]).startswith(own) for _, a in loads)
    assert page.count("script") == 1
    assert page.count("img") == page.count("iframe") == 0


def test_policy_allows_only_the_script_that_is_in_the_page(record: RunRecord) -> None:
    import base64
    import hashlib

    text = render(record)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        inside = text.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{directive} &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]


def test_hostile_text_stays_text(record: RunRecord, page: _Page) -> None:
    assert "<script>document" not in render(record)
    assert HOSTILE in page.text


@pytest.mark.parametrize("place", ["arm", "lever", "reason", "tag", "usecase", "gate", "note", "digest"])
def test_hostile_text_stays_text_everywhere(record: RunRecord, place: str) -> None:
    bad = "\"><script>alert('x')</script>\u202e"
    rows = record.cases
    if place == "arm":
        arm = record.arms[0].model_copy(update={"name": bad})
        changed = record.model_copy(update={"arms": (arm, *record.arms[1:])})
    elif place == "lever":
        changed = record.model_copy(update={"levers": (LeverResult(lever=bad, state="not_tried"),)})
    elif place == "reason":
        changed = record.model_copy(update={"levers": (LeverResult(lever="x", state="failed", reason=bad),)})
    elif place == "tag":
        changed = record.model_copy(update={"cases": (rows[0].model_copy(update={"tags": (bad,)}),)})
    elif place == "usecase":
        changed = record.model_copy(update={"usecase": {**record.usecase, "name": bad, bad: bad}})
    elif place == "gate":
        changed = record.model_copy(update={"gates": (record.gates[1].model_copy(update={"override": bad}),)})
    elif place == "note":
        changed = record.model_copy(update={"comparisons": (record.comparisons[1].model_copy(update={"note": bad}),)})
    else:
        changed = record.model_copy(update={"versions": {bad: bad}, "openings": ({bad: bad},)})
    text = render(changed)
    page = _Page(text)
    assert page.count("script") == 1
    assert "\u202e" not in text
    assert "alert('x')" in page.text


def test_bidirectional_and_invisible_characters_are_spelled_out(record: RunRecord, page: _Page) -> None:
    assert not set("\u202e\u202c\u200b\u2066\u2069") & set(render(record))
    assert "⟦U+202E⟧gnihtyna" in page.text
    assert BIDI not in page.text


def test_writing_of_the_world_stays_as_it_is(page: _Page) -> None:
    assert UNICODE in page.text


def test_every_arm_case_and_answer_is_in_the_page(record: RunRecord, page: _Page) -> None:
    assert page.count("article") == len(record.cases)
    answers = [a for tag, a in page.tags if tag == "li" and a.get("class") in ("right", "wrong", "partly", "unknown")]
    assert len(answers) == len(record.cases) * len(RIGHT_RATE)
    wrong = sum(o.score == 0 for row in record.cases for o in row.outputs.values())
    assert sum(a["class"] == "wrong" for a in answers) == wrong
    assert page.text.count("unscored: timeout") == 3


def test_right_and_wrong_do_not_rest_on_colour(record: RunRecord) -> None:
    row = CaseRow(
        id="a",
        input={"text": "x"},
        outputs={
            "prompt": CaseOutput(text="1", score=1.0),
            "few_shot": CaseOutput(text="2", score=0.0, lenient=1.0),
            "lora": CaseOutput(text="3", score=0.25),
        },
    )
    text = _Page(render(record.model_copy(update={"cases": (row,)}))).text
    assert all(mark in text for mark in ("✓ right", "✗ wrong", "◐ 0.25", "only the format is wrong"))


def test_cases_where_arms_differ_are_marked(record: RunRecord, page: _Page) -> None:
    marked = [a["data-differs"] for tag, a in page.tags if tag == "article"]
    expected = [len({o.score for o in row.outputs.values()}) > 1 for row in record.cases]
    assert marked == ["yes" if differs else "no" for differs in expected]
    assert {True, False} == set(expected)


def test_what_was_not_measured_is_never_a_zero(record: RunRecord) -> None:
    arm = ArmReport(name="silent", lever="prompt", interval=None, n=0, unscored=40)
    text = render(record.model_copy(update={"arms": (arm,), "comparisons": (), "cases": ()}))
    row = next(part.split("</tr>")[0] for part in text.split("<tr") if "silent" in part and "<td" in part)
    assert row.count("not measured") == 5
    assert "0.0" not in row


def test_scores_that_do_not_vary_have_a_mean_without_an_interval(record: RunRecord) -> None:
    arm = ArmReport(name="same", lever="prompt", interval=None, n=2)
    rows = tuple(CaseRow(id=i, input={}, outputs={"same": CaseOutput(text="x", score=0.5)}) for i in "ab")
    changed = record.model_copy(update={"arms": (arm,), "cases": rows, "comparisons": (), "levers": ()})
    text = _Page(render(changed)).text
    assert "50.0\u202f%  (no interval)" in text
    assert "50.0\u202f%" in text.replace("50.0\u202f%  (no interval)", "")


def test_levers_that_were_not_tried_are_listed_with_their_reason(page: _Page) -> None:
    assert "not measured: not tried, LoRA met the bar, so a dearer lever has nothing to add" in page.text


def test_long_texts_fold_and_very_long_ones_are_cut_with_notice(record: RunRecord) -> None:
    row = record.cases[0].model_copy(update={"input": {"text": "word " * 2000}})
    text = render(record.model_copy(update={"cases": (row,)}))
    assert '<details class="clamp">' in text
    assert "6\u202f000 more characters in verdict.json" in text


def test_many_cases_are_cut_and_those_that_differ_are_kept(record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_CASES", 30)
    page = _Page(render(record))
    assert page.count("article") == 30
    assert "30 of 40 cases are shown here" in page.text
    differing = sum(len({o.score for o in row.outputs.values()}) > 1 for row in record.cases)
    assert sum(a.get("data-differs") == "yes" for _, a in page.tags) == min(30, differing)


def test_overrides_are_printed_with_their_reason(page: _Page) -> None:
    assert "The customer only kept mails of the last year; more will not come before March." in page.text


def test_lock_openings_versions_and_leaks_are_printed(record: RunRecord, page: _Page) -> None:
    assert record.suite is not None
    for wanted in (record.suite.lock, record.data.version, "2026-01-02T09:05:40", "transformers", "case-017"):
        assert wanted in page.text


def test_a_refused_run_has_a_report_too(record: RunRecord) -> None:
    bare = RunRecord(tuneworthy_version="0.1.0", run_id="x", usecase={}, verdict=record.verdict)
    text = _Page(render(bare)).text
    for wanted in ("No arm was measured", "No two arms were compared", "No suite was locked", "No case was answered"):
        assert wanted in text


def test_the_same_record_gives_the_same_page(record: RunRecord) -> None:
    assert render(record) == render(sample())


def test_write_puts_the_page_on_disk(record: RunRecord, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write(record, path)
    assert path.read_text("utf-8") == render(record)
