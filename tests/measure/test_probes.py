"""Probes on models that are made so that the answer is known: what was planted is found, what was not is not."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.errors import DataError, ModelError
from tuneworthy.measure import (
    canaries,
    copying,
    drift,
    overfit,
    pareto,
    probe_files,
    refusals,
    robustness,
    staleness,
    unknown,
)
from tuneworthy.measure.canaries import Exposed
from tuneworthy.measure.overfit import Mark
from tuneworthy.measure.pareto import Setting
from tuneworthy.measure.probes import Probes
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Answer, Case, Message, Request
from tuneworthy.usecase import InputField, Output


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


class Leaky(Scripted):
    """Knows some secrets, each at a strength; everything else is as likely as anything. Prefers some sentences."""

    def __init__(self, known: dict[str, tuple[str, float]], liked: Sequence[str] = (), seed: int = 0) -> None:
        super().__init__(lambda request: self._secret(request.messages[-1].content), name=f"leaky {known} {seed}")
        self._known, self._liked, self._seed = known, tuple(liked), seed

    def _secret(self, asked: str) -> str:
        return next(
            (f"It is {s}." for name, (s, strength) in self._known.items() if name in asked and strength > 9), "?"
        )

    def answer_logprobs(self, questions: Sequence[Sequence[Message]], texts: Sequence[str]) -> np.ndarray:
        rows = []
        for messages in questions:
            row = np.random.default_rng(self._seed + len(rows)).normal(size=len(texts))
            for name, (secret, strength) in self._known.items():
                if name in messages[-1].content:
                    row[int(secret)] = strength
            rows.append(row)
        return np.array(rows)

    def continuation(self, given: str, rest: str) -> tuple[float, bool]:
        liked = given + rest in self._liked
        return (-1.0 if liked else -2.0), liked

    def distributions(self, conversations: Sequence[Sequence[Message]]) -> Iterator[np.ndarray]:
        for messages in conversations:
            logits = np.random.default_rng(len(messages[-1].content)).normal(size=(4, 5)) + self._seed * np.eye(4, 5)
            yield (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


# --- canaries -------------------------------------------------------------------------------------


def test_exposure_is_the_formula_of_carlini_et_al() -> None:
    logprobs = -np.arange(8.0)  # the first is the likeliest
    assert canaries.bits(logprobs, 0) == 3.0  # log2 8 - log2 1
    assert canaries.bits(logprobs, 3) == 1.0  # log2 8 - log2 4
    assert canaries.bits(logprobs, 7) == 0.0
    assert canaries.bits(np.zeros(8), 2) == 0.0  # a model that knows nothing


def test_an_unseen_secret_has_log2_e_bits_on_average() -> None:
    draw = np.random.default_rng(0)
    values = [canaries.bits(draw.normal(size=4096), 7) for _ in range(4000)]
    assert np.mean(values) == pytest.approx(canaries.UNSEEN_BITS, abs=0.08)


def test_canaries_stand_as_often_as_they_should_and_all_differ() -> None:
    drawn = canaries.drawn(0)
    assert [c.repeats for c in drawn].count(16) == canaries.EACH
    assert len({c.secret for c in drawn}) == len({c.name for c in drawn}) == len(drawn) == 24
    rows = [messages[0].content for messages in canaries.planted(drawn)]
    assert all(rows.count(c.question.content) == c.repeats for c in drawn)
    assert canaries.drawn(0) == drawn != canaries.drawn(1)


def test_secrets_that_were_repeated_are_found_in_the_model_that_leaks_them(tmp_path: Path) -> None:
    drawn = canaries.drawn(0)
    leaky = Leaky({c.name: (c.secret, 10.0) for c in drawn if c.repeats >= 4})
    levels = {level.repeats: level for level in canaries.levels(canaries.exposures(leaky, drawn, tmp_path))}
    assert levels[16].bits == levels[4].bits == math.log2(100_000)
    assert levels[16].extracted.value == 1.0
    assert levels[16].interval is None  # all are equal
    assert levels[0].extracted.value == levels[1].extracted.value == 0.0
    assert levels[0].bits < 5


@pytest.mark.parametrize(("bits", "extracted", "failing"), [(3.0, False, False), (4.5, False, True), (2.0, True, True)])
def test_secrets_seen_once_fail_two_bits_above_the_base_or_when_one_comes_out(
    bits: float, extracted: bool, failing: bool
) -> None:
    base = canaries.levels([Exposed(1, 2.0, False)] * 6)
    trained = canaries.levels([Exposed(1, bits, extracted)] * 6)
    assert canaries.Canaries(space=100_000, trained=trained, base=base).failing is failing


def test_a_canary_that_could_not_be_asked_for_is_no_kept_secret() -> None:
    down = Leaky({})
    down._failing = {"code": "timeout"}
    with pytest.raises(ModelError, match="could not be asked"):
        canaries.exposures(down, canaries.drawn(0))


# --- drift ----------------------------------------------------------------------------------------


def test_divergence_is_kl_in_nats() -> None:
    p, q = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    assert drift.divergence(p, q) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert drift.divergence(p, p) == 0.0


def test_a_model_that_did_not_move_has_not_drifted_and_one_that_did_has() -> None:
    task = drift.general_chats()[:20]
    still, moved = drift.measure(Leaky({}), Leaky({}), task), drift.measure(Leaky({}), Leaky({}, seed=2), task)
    assert (still.general, still.task, still.general_interval) == (0.0, 0.0, None)
    assert moved.general > 0.1
    assert moved.general_interval is not None
    assert moved.general_interval.low > 0
    assert (moved.n_general, moved.n_task) == (60, 20)


# --- overfitting ----------------------------------------------------------------------------------


def marks(*scores: float) -> list[Mark]:
    return [Mark(step=10 * n, epoch=n, loss=1 / n, dev=s, standard_error=0.05) for n, s in enumerate(scores, start=1)]


def test_a_model_that_learnt_its_rows_by_heart_is_told_from_one_that_learnt_the_task() -> None:
    heart = overfit.fit(marks(0.5, 0.8, 0.6), 20, [1.0] * 60, [1.0] * 30 + [0.0] * 30)
    assert heart.overfitted
    assert heart.fell
    assert heart.best is not None
    assert heart.best.step == 20
    assert heart.gap is not None
    assert heart.gap.value == 0.5
    task = overfit.fit(marks(0.5, 0.8, 0.78), 20, [1.0] * 50 + [0.0] * 10, [1.0] * 48 + [0.0] * 12)
    assert (task.overfitted, task.fell) == (False, False)


def test_without_scores_nothing_is_said() -> None:
    nothing = overfit.fit([Mark(step=1, epoch=1, loss=0.5, dev=None)], 1, [], [])
    assert (nothing.best, nothing.gap, nothing.train, nothing.overfitted) == (None, None, None, False)


# --- copying --------------------------------------------------------------------------------------

ROWS = [" ".join(f"w{n}{i}" for i in range(14)) for n in range(12)]


def test_answers_taken_from_a_training_row_are_found() -> None:
    rows = copying.TrainingOutputs(ROWS)
    taken = rows.nearest(f"Well: {ROWS[3]}", "a question", "another answer")
    assert taken.verbatim
    assert taken.overlap > 0.8
    own = rows.nearest("something that nobody has ever written in these words before today", "a question", "")
    assert own == copying.Copied(verbatim=False, overlap=0.0)
    assert not rows.nearest(ROWS[3], ROWS[3], "").verbatim  # it stands in its own input


def test_copying_is_held_against_the_base() -> None:
    no, yes = copying.Copied(False, 0.1), copying.Copied(True, 0.9)
    found = copying.compare([no] * 20, [yes] * 10 + [no] * 10)
    assert found is not None
    assert (found.trained.value, found.base.value) == (0.5, 0.0)
    assert found.p < 0.01
    assert copying.compare([no] * 9, [no] * 9) is None


# --- refusals -------------------------------------------------------------------------------------


def test_requests_and_look_alikes_are_many_and_all_different() -> None:
    assert len(set(refusals.TO_DECLINE)) >= 30
    assert not set(refusals.TO_DECLINE) & set(refusals.TO_ANSWER)


def test_lost_refusals_are_counted_against_the_base(tmp_path: Path) -> None:
    def careful(request: Request) -> str:
        declined = request.messages[-1].content in refusals.TO_DECLINE
        return "I'm sorry, but I can't help with that." if declined else "Of course."

    def worn(request: Request) -> str:
        return careful(request) if request.messages[-1].content in refusals.TO_DECLINE[10:] else "Of course."

    base, tuned = (refusals.probe(Scripted(reply, name=reply.__name__), tmp_path) for reply in (careful, worn))
    found = refusals.compare(base, tuned)
    assert (found.base.value, found.lost, found.gained) == (1.0, 10, 0)
    assert found.measurable
    assert found.weakened
    assert found.declined_harmless.value == 0.0


def test_a_base_that_never_refuses_has_nothing_to_lose(tmp_path: Path) -> None:
    answers = refusals.probe(Scripted(lambda request: "yes"), tmp_path)
    found = refusals.compare(answers, answers)
    assert (found.measurable, found.weakened) == (False, False)


def test_a_failed_request_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not be asked"):
        refusals.probe(Scripted(lambda request: "", failing={"": "timeout"}), tmp_path)


# --- robustness -----------------------------------------------------------------------------------

FIELDS = {"subject": InputField(), "body": InputField(), "count": InputField(type="integer")}
CASE = Case(id="c1", input={"subject": "Invoice", "body": "Please check order 12345 of the kettle today", "count": 3})


@given(st.text(), st.integers(0, 10**6))
@settings(deadline=None, max_examples=200)
def test_typing_errors_keep_every_sign_and_every_digit_in_its_place(text: str, seed: int) -> None:
    spoiled = robustness.typos(text, random.Random(seed))
    assert sorted(spoiled) == sorted(text)
    assert [c for c in spoiled if c.isdigit()] == [c for c in text if c.isdigit()]
    assert len(spoiled.split()) == len(text.split())


@pytest.mark.parametrize("change", robustness.CHANGES)
def test_changes_touch_the_longest_text_alone_and_are_always_the_same(change: str) -> None:
    (one,) = robustness.changed([CASE], change, FIELDS, seed=0)
    assert (one.id, one.input["subject"], one.input["count"]) == ("c1", "Invoice", 3)
    assert "12345" in str(one.input["body"])
    assert robustness.changed([CASE], change, FIELDS, seed=0) == (one,)
    if change != "typing errors":  # which may spare a short text
        assert one.input["body"] != CASE.input["body"]


def test_inputs_from_outside_have_the_shape_of_the_task_or_are_left_out() -> None:
    assert all(row.keys() == {"body"} for row in robustness.outside({"body": InputField()}))
    assert len(robustness.outside({"body": InputField()})) == len(set(robustness.OUTSIDE)) == 24
    assert robustness.outside({"count": InputField(type="integer")}) == ()


def test_declined_made_up_and_endless_answers_are_told_apart() -> None:
    output = Output(kind="label", labels=("red", "blue"))
    answers = [Answer(text="I cannot help with that."), Answer(text="red"), Answer(text="r r r", finish="length")]
    found = robustness.judged([*answers, Answer(error="timeout", finish="error")], output)
    assert {name: share.value for name, share in found.items()} == {
        "refused": pytest.approx(1 / 3),
        "made_up": pytest.approx(1 / 3),
        "ran_on": pytest.approx(1 / 3),
    }
    assert robustness.judged([Answer(error="timeout", finish="error")], output) == {}
    json_output = Output(kind="json", json_schema={"type": "object", "required": ["a"]})
    assert robustness.judged([Answer(text='{"a": 1}')], json_output)["made_up"].value == 1.0
    assert robustness.judged([Answer(text="{")], json_output)["made_up"].value == 0.0


# --- staleness ------------------------------------------------------------------------------------

DOCS = {
    f"plan-{n}.md": f"The plan {n} costs {100 + n} euros. Its colour is {'abcdefghijklmnop'[n]}lue." for n in range(15)
}
PLANS = [Case(id=f"c{n}", input={"question": f"price of {n}?"}, expected=str(100 + n)) for n in range(15)]


def test_an_arm_that_reads_follows_the_documents_and_one_that_knows_by_heart_does_not() -> None:
    changed = staleness.changes(PLANS, DOCS, seed=0)
    new = staleness.apply(DOCS, changed)
    assert changed.keys() == {case.id for case in PLANS}
    for n, case in enumerate(PLANS):
        old, value = changed[case.id]
        assert old == str(100 + n)
        assert len(value) == 3
        assert f"costs {value} euros" in new[f"plan-{n}.md"]
    before = [Answer(text=f"It costs {changed[c.id][0]}.") for c in PLANS]
    after = [Answer(text=f"It costs {changed[c.id][1]}.") for c in PLANS]
    reads = staleness.judge(PLANS, changed, before, after, reads=True, dated=0, rows=5)
    heart = staleness.judge(PLANS, changed, before, before, reads=False, dated=3, rows=5)
    assert reads is not None
    assert heart is not None
    assert (reads.followed.value, reads.stale.value, reads.follows) == (1.0, 0.0, True)
    assert (heart.followed.value, heart.stale.value, heart.follows) == (0.0, 1.0, False)


def test_of_an_arm_that_never_knew_the_facts_nothing_is_said() -> None:
    changed = staleness.changes(PLANS, DOCS, seed=0)
    right, silent = [Answer(text=changed[c.id][0]) for c in PLANS], [Answer(text="?") for _ in PLANS]
    for known, said in ((9, False), (10, True)):
        before = right[:known] + silent[known:]
        found = staleness.judge(PLANS, changed, before, silent, reads=False, dated=0, rows=5)
        assert found is not None
        assert (found.measurable, found.follows) == (said, False)
        assert bool(list(Probes(staleness=found).warnings())) is said


def test_answers_that_stand_in_no_document_are_left_out_and_few_say_nothing() -> None:
    cases = [*PLANS[:3], Case(id="x", input={"question": "?"}, expected="absent")]
    changed = staleness.changes(cases, DOCS, seed=0)
    assert "x" not in changed
    answers = [Answer(text="?")] * 4
    assert staleness.judge(cases, changed, answers, answers, reads=True, dated=0, rows=0) is None


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=60), max_size=4),
    st.lists(st.text(max_size=8), max_size=6),
)
@settings(deadline=None, max_examples=150)
def test_changed_documents_hold_no_old_value_whatever_they_say(docs: dict[str, str], values: list[str]) -> None:
    cases = [Case(id=f"c{n}", input={}, expected=value) for n, value in enumerate(values)]
    changed = staleness.changes(cases, docs, seed=1)
    after = staleness.apply(docs, changed)
    assert after.keys() == docs.keys()
    news = {new for _, new in changed.values()}
    for old, new in changed.values():
        assert new != old
        if not any(staleness.contains(other, old) for other in news):
            assert not staleness.contains("\n".join(after.values()), old) or old in news


# --- unknown facts --------------------------------------------------------------------------------


def test_rows_that_are_never_right_are_unknown_and_their_share_decides() -> None:
    names = [f"r{n}" for n in range(40)]
    known = [[True] * 12] * 20 + [[False] * 11 + [True]] * 10 + [[False] * 12] * 10
    found = unknown.judge(names, known, ["plans"] * 20 + ["people"] * 20)
    assert (found.unknown.value, found.always.value, found.state) == (0.25, 0.5, "warn")
    assert found.rows == tuple(names[30:])
    assert {topic.topic: topic.unknown.value for topic in found.topics} == {"plans": 0.0, "people": 0.5}
    assert "about people" in found.advice
    assert unknown.judge(names, [[True] * 12] * 36 + [[False] * 12] * 4).state == "sound"
    assert unknown.judge(names, [[True] * 12] * 20 + [[False] * 12] * 20).state == "refuse"


def test_no_row_is_asked_that_stands_among_the_shots() -> None:
    for rows in (5, 30, 400):
        found = unknown.drawn([f"r{n}" for n in range(rows)], seed=1)
        shown = {name for shots in found.shots for name in shots}
        assert not shown & set(found.asked)
        assert len(found.asked) == min(100, max(0, rows - unknown.VARIANTS * unknown.SHOTS))
        assert found == unknown.drawn([f"r{n}" for n in reversed(range(rows))], seed=1)


def test_every_row_is_asked_in_twelve_ways() -> None:
    ways = unknown.tries()
    assert len(set(ways)) == unknown.VARIANTS + unknown.SAMPLES == 12
    assert sum(way.temperature == 0 for way in ways) == unknown.VARIANTS
    asked = unknown.ask(["a", "b"], lambda way: [Answer(text="yes"), Answer(text="no")], lambda row, a: a.text == "yes")
    assert asked == [[True] * 12, [False] * 12]


def test_texts_about_different_things_fall_into_different_topics() -> None:
    texts = [f"parcel delivery courier {n}" for n in range(12)] + [f"invoice payment refund {n}" for n in range(12)]
    found = unknown.topics_of(texts)
    assert len(set(found[:12])) == len(set(found[12:])) == 1
    assert found[0] != found[12]
    assert unknown.topics_of(texts[:5]) == ("all",) * 5


# --- fronts ---------------------------------------------------------------------------------------


def setting(method: str, task: float, kept: float) -> Setting:
    return Setting(method=method, setting=f"{task} {kept}", task=task, kept=kept)


def test_a_front_holds_what_nothing_beats_in_both() -> None:
    points = [setting("lora", t, k) for t, k in ((0.9, -0.2), (0.8, -0.1), (0.85, -0.3), (0.5, 0.0), (0.8, -0.15))]
    assert [(s.task, s.kept) for s in pareto.front(points)] == [(0.5, 0.0), (0.8, -0.1), (0.9, -0.2)]


def test_methods_are_compared_where_all_of_them_come() -> None:
    settings_ = [
        setting("lora", 0.9, -0.1),
        setting("lora", 0.7, 0.0),
        setting("full", 0.8, -0.2),
        setting("full", 0.6, 0.0),
    ]
    found = pareto.matched(settings_)
    assert found is not None
    assert found.at_least == 0.8
    assert {s.method: (s.task, s.kept) for s in found.settings} == {"lora": (0.9, -0.1), "full": (0.8, -0.2)}
    looser = pareto.matched(settings_, tolerance=0.1)
    assert looser is not None
    assert {s.method: s.task for s in looser.settings} == {"lora": 0.7, "full": 0.8}
    assert pareto.matched([setting("lora", 0.9, 0.0)]) is None


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats(0, 1), st.floats(-1, 1)), max_size=20))
def test_fronts_rise_in_one_number_and_fall_in_the_other(rows: list[tuple[str, float, float]]) -> None:
    points = [setting(*row) for row in rows]
    kept = pareto.front(points)
    assert all(x.task < y.task and x.kept > y.kept for x, y in pairwise(kept))
    for point in points:
        assert any(s.task >= point.task and s.kept >= point.kept for s in kept)


# --- probe files ----------------------------------------------------------------------------------


def written(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


OWN = [{"ask": f"What is {n} + 1?", "right": str(n + 1), "kind": "sum"} for n in range(25)]
PAIRS = [
    {"sentence_good": f"Cats {n} sleep.", "sentence_bad": f"Cats {n} sleeps.", "UID": "agreement"} for n in range(25)
]
WORDS = [{"text": f"The answer to {n} is simply yes"} for n in range(25)]


def test_all_three_forms_are_read_and_judged(tmp_path: Path) -> None:
    own = probe_files.read(written(tmp_path / "own.jsonl", OWN), seed=0)
    assert (own.form, own.of, own.kinds[0]) == ("own", 25, "sum")
    clever = Scripted(lambda request: str(int(request.messages[-1].content.split()[2]) + 1))
    assert all(probe_files.probe(clever, own, tmp_path / "answers"))
    pairs = probe_files.read(written(tmp_path / "blimp.jsonl", PAIRS), seed=0)
    liked = [str(row["sentence_good"]) for row in PAIRS[:10]]
    assert (pairs.form, sum(probe_files.probe(Leaky({}, liked), pairs, tmp_path / "answers"))) == ("BLiMP", 10)
    words = probe_files.read(written(tmp_path / "lambada.jsonl", WORDS), seed=0)
    liked = [str(row["text"]) for row in WORDS[:7]]
    assert (words.form, sum(probe_files.probe(Leaky({}, liked, 1), words, tmp_path / "answers"))) == ("LAMBADA", 7)


def test_equal_sentences_are_left_out_and_the_last_word_follows_any_white_space(tmp_path: Path) -> None:
    same = {"sentence_good": "It left.", "sentence_bad": "It left.", "UID": "agreement"}
    file = probe_files.read(written(tmp_path / "blimp.jsonl", [*PAIRS, same, same]), seed=0)
    assert (len(file.items), file.of, file.equal) == (25, 25, 2)
    rows = [*WORDS, {"text": "put on the\ngloves "}, {"text": "a\u00a0word"}]
    items = probe_files.read(written(tmp_path / "lambada.jsonl", rows), seed=0).items
    assert items[-2:] == (("last word", "put on the", "\ngloves"), ("last word", "a", "\u00a0word"))
    assert items[0] == ("last word", "The answer to 0 is simply", " yes")


def test_long_files_are_drawn_from_and_say_so(tmp_path: Path) -> None:
    many = [{"ask": f"Say {n}", "right": str(n)} for n in range(700)]
    file = probe_files.read(written(tmp_path / "own.jsonl", many), seed=0)
    assert (len(file.items), file.of) == (500, 700)
    assert file == probe_files.read(tmp_path / "own.jsonl", seed=0) != probe_files.read(tmp_path / "own.jsonl", seed=1)


def test_probabilities_cannot_be_read_from_every_model(tmp_path: Path) -> None:
    pairs = probe_files.read(written(tmp_path / "blimp.jsonl", PAIRS), seed=0)
    with pytest.raises(ModelError, match="does not show"):
        probe_files.probe(Scripted(lambda request: ""), pairs, tmp_path / "answers")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"ask": "1?"}', "own.jsonl:3"),
        ('{"ask": "1?", "right": ""}', "empty"),
        ('{"ask": "1?", "right": "1", "answer": 2}', "unknown key"),
        ('{"ask": "1?", "right": "1", "max_tokens": 0}', "max_tokens"),
        ('{"ask": "1?", "right": "1", "others": "2"}', "others"),
        ("[1]", "not an object"),
        ("{", "own.jsonl:3"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in OWN[:2]) + line + "\n", "utf-8")
    with pytest.raises(DataError) as error:
        probe_files.read(path, seed=0)
    assert said in str(error.value)


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=150)
def test_whatever_a_file_holds_it_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("file") / "p.jsonl"
    path.write_bytes(raw)
    with pytest.raises(DataError):
        probe_files.read(path, seed=0)  # never twenty good items in 300 bytes


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["ask", "right", "text", "sentence_good", "sentence_bad", "UID", "others"]),
            st.one_of(st.text(max_size=20), st.integers(), st.none(), st.lists(st.text(max_size=3), max_size=2)),
            min_size=1,
        ),
        min_size=20,
        max_size=25,
    )
)
@settings(deadline=None, max_examples=100)
def test_whatever_the_objects_hold_they_are_items_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = written(tmp_path_factory.mktemp("file") / "p.jsonl", rows)
    try:
        read = len(probe_files.read(path, seed=0).items)
    except DataError:
        return
    file = probe_files.read(path, seed=0)
    assert read + file.equal == len(rows)
