"""A locked suite cannot change unseen."""

import json
import random
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneworthy.data.read import read_cases
from tuneworthy.errors import SuiteChanged, SuiteNotLocked
from tuneworthy.records import Case
from tuneworthy.suite import lock as suite_lock
from tuneworthy.suite.build import write_cases


def edit(cases, number, **changes):
    return (*cases[:number], cases[number].model_copy(update=changes), *cases[number + 1 :])


def test_what_was_locked_is_verified(project, cases):
    locked = suite_lock.lock(project, project.usecase, cases)
    assert suite_lock.verify(project, project.usecase, cases) == locked
    assert suite_lock.read(project.lock_file).digest == locked.digest
    assert json.loads(project.lock_file.read_text("utf-8"))["digest"] == locked.digest


def test_cases_in_another_order_are_the_same_suite(project, cases):
    locked = suite_lock.lock(project, project.usecase, cases)
    shuffled = random.Random(1).sample(cases, len(cases))
    assert suite_lock.verify(project, project.usecase, shuffled).digest == locked.digest
    assert suite_lock.describe(project.usecase, shuffled) == locked


def test_locking_again_without_a_change_keeps_the_lock(project, cases):
    suite_lock.lock(project, project.usecase, cases)
    before = project.lock_file.read_bytes()
    suite_lock.lock(project, project.usecase, cases)
    suite_lock.lock(project, project.usecase, cases, again=True)
    assert project.lock_file.read_bytes() == before


def test_without_a_lock(project, cases):
    with pytest.raises(SuiteNotLocked, match="tuneworthy suite lock") as refused:
        suite_lock.verify(project, project.usecase, cases)
    assert refused.value.exit_code == 3


def test_one_byte_of_one_case(project, cases, on_disk):
    suite_lock.lock(project, project.usecase, read_cases(on_disk, project.usecase))
    on_disk.write_bytes(on_disk.read_bytes().replace(b"letter number 17", b"letter number 77"))
    with pytest.raises(SuiteChanged, match="case case-17 was edited: input") as refused:
        suite_lock.verify(project, project.usecase, read_cases(on_disk, project.usecase))
    assert refused.value.exit_code == 3
    assert "1 thing changed" in str(refused.value)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_any_changed_letter_is_seen_and_named(project, cases, data):
    number = data.draw(st.integers(0, len(cases) - 1))
    field = data.draw(st.sampled_from(["letter", "evidence", "cluster"]))
    text = cases[number].input["letter"] if field == "letter" else ""
    place = data.draw(st.integers(0, len(text)))
    other = text[:place] + data.draw(st.sampled_from(string.ascii_uppercase)) + text[place + 1 :]
    suite_lock.lock(project, project.usecase, cases, again=True)
    changed = edit(cases, number, **({"input": {"letter": other}} if field == "letter" else {field: other}))
    with pytest.raises(SuiteChanged) as refused:
        suite_lock.verify(project, project.usecase, changed)
    assert f"case {cases[number].id} was edited: {'input' if field == 'letter' else field}\n" in str(refused.value)


printable = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    letters=st.lists(printable, min_size=30, max_size=33, unique=True),
    evidence=printable,
    tags=st.lists(printable, max_size=2),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_whatever_the_cases_say_their_lock_and_their_file_are_read_back(project, letters, evidence, tags):
    import unicodedata

    letters = list({unicodedata.normalize("NFC", letter): letter for letter in letters}.values())
    letters += [f"padding {i}" for i in range(30 - len(letters))]
    cases = [
        Case(id=f"{i} {letter}", input={"letter": letter}, expected="billing", evidence=evidence, tags=tuple(tags))
        for i, letter in enumerate(letters)
    ]
    locked = suite_lock.lock(project, project.usecase, cases, again=True)
    assert suite_lock.read(project.lock_file) == locked
    write_cases(project.cases_file, cases)
    lines = project.cases_file.read_bytes().decode("utf-8").split("\n")[:-1]
    assert [Case.model_validate_json(line) for line in lines] == cases


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cases: edit(cases, 3, expected="billing"), "case case-03 was edited: expected"),
        (lambda cases: edit(cases, 3, tags=("late",), evidence="x"), "case case-03 was edited: evidence, tags"),
        (lambda cases: cases[1:], "case case-00 was removed"),
        (lambda cases: (*cases, Case(id="new", input={"letter": "x"}, expected="billing")), "case new was added"),
        (lambda cases: edit(cases, 3, id="other"), "case other was added"),
        (lambda cases: (*cases, cases[4]), "case case-04 stands twice"),
        (lambda cases: (), "30 things changed"),
    ],
)
def test_a_changed_case_is_named(project, cases, change, says):
    suite_lock.lock(project, project.usecase, cases)
    with pytest.raises(SuiteChanged) as refused:
        suite_lock.verify(project, project.usecase, change(cases))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("at_least = 0.8", "at_least = 0.7", "decision.at_least: 0.8 → 0.7"),
        ("smallest_difference = 0.05", "smallest_difference = 0.01", "decision.smallest_difference: 0.05 → 0.01"),
        ("max_tokens = 8", "max_tokens = 9", "decoding.max_tokens: 8 → 9"),
        ('"shipping"]', '"shipping", "returns"]', "output.labels:"),
        ('metric = "classification"', 'metric = "exact"', "scorer classification was removed"),
        ('name = "exact"', 'name = "squad_f1"', "scorer squad_f1 was added"),
    ],
)
def test_a_changed_decision_is_named(project, cases, edited, old, new, says):
    suite_lock.lock(project, project.usecase, cases)
    with pytest.raises(SuiteChanged) as refused:
        suite_lock.verify(project, edited(old, new), cases)
    assert says in str(refused.value)


def test_a_scorer_with_other_code_is_named(project, cases, monkeypatch):
    import inspect

    suite_lock.lock(project, project.usecase, cases)
    source = inspect.getsource
    monkeypatch.setattr(
        inspect, "getsource", lambda m: source(m) + ("#" if m.__name__ == "tuneworthy.scorers.exact" else "")
    )
    with pytest.raises(SuiteChanged, match=r"1 thing changed.*\n.*scorer exact: code changed"):
        suite_lock.verify(project, project.usecase, cases)


def test_what_the_levers_may_vary_is_not_locked(project, cases, edited):
    locked = suite_lock.lock(project, project.usecase, cases)
    usecase = edited("Name the department", "Tell which department it is")
    assert suite_lock.verify(project, usecase, cases) == locked


def test_another_suite_replaces_a_lock_only_when_asked(project, cases):
    first = suite_lock.lock(project, project.usecase, cases)
    other = edit(cases, 0, expected="shipping")
    with pytest.raises(SuiteChanged, match="--again"):
        suite_lock.lock(project, project.usecase, other)
    assert suite_lock.read(project.lock_file) == first
    assert suite_lock.lock(project, project.usecase, other, again=True) != first
    assert suite_lock.verify(project, project.usecase, other)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("0.8", "0.1"),
        lambda text: text.replace('"metric": "classification"', '"metric": "exact"'),
        lambda text: text.replace('"case-05"', '"case-99"'),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": true'),
        lambda text: text.replace('"format": 1', '"format": 1, "more": 1'),
    ],
)
def test_a_tampered_or_torn_lock_is_refused(project, cases, damage):
    suite_lock.lock(project, project.usecase, cases)
    whole = project.lock_file.read_text("utf-8")
    assert damage(whole) != whole
    project.lock_file.write_text(damage(whole), "utf-8")
    for attempt in (suite_lock.verify, suite_lock.lock):
        with pytest.raises(SuiteChanged, match=r"lock cannot be read|lock was edited"):
            attempt(project, project.usecase, cases)
    assert suite_lock.lock(project, project.usecase, cases, again=True)
    assert project.lock_file.read_text("utf-8") == whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cases: cases[:29], "add 1 real cases to suite/cases.jsonl"),
        (lambda cases: (), "add 30 real cases"),
        (lambda cases: edit(cases, 7, expected=None), "1 cases have no expected output: case-07"),
        (lambda cases: edit(cases, 7, id="case-08"), "several cases have the same id: case-08"),
        (lambda cases: edit(cases, 7, input=cases[8].input), "same input stands in several cases: case-07, case-08"),
        (lambda cases: edit(cases, 7, expected="bills"), "judged wrong by classification: case-07"),
    ],
)
def test_what_cannot_be_locked(project, cases, change, says):
    with pytest.raises(SuiteNotLocked) as refused:
        suite_lock.lock(project, project.usecase, change(cases))
    assert says in str(refused.value)
    assert refused.value.exit_code == 3
    assert not project.lock_file.exists()


def test_a_limit_that_would_cut_right_answers_off_is_refused(project, cases):
    with pytest.raises(SuiteNotLocked, match="'shipping' takes 200 tokens") as refused:
        suite_lock.lock(project, project.usecase, cases, answer_tokens=lambda text: 200 if text == "shipping" else 3)
    assert not project.lock_file.exists()
    assert "output.max_tokens = 251" in refused.value.next
    suite_lock.lock(project, project.usecase, cases, answer_tokens=len)
