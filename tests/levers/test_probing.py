"""Probes at the bench: a constructed "trained" model against its base, what was found is kept, gaps are named."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from small import LABELS, SIGNS, USECASE, asked, right, small_usecase
from tuneworthy import flow
from tuneworthy.answering import Answerer
from tuneworthy.ground import prepare
from tuneworthy.levers import beforehand, probing
from tuneworthy.levers.prompt import PromptLever
from tuneworthy.measure import unknown
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.overfit import Mark
from tuneworthy.measure.probes import CHEAP, NAMES
from tuneworthy.models.scripted import Scripted
from tuneworthy.project import open_project
from tuneworthy.records import Completion, Score

TEXTS = USECASE.replace('kind = "label"\nlabels = ["plumbing", "power", "keys"]', 'kind = "text"').replace(
    'metric = "classification"', 'metric = "contains"'
)
TRAINED = "Say which team mends it, and nothing else."
"""The instruction under which the scripted model plays the trained one."""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A bench with a lever `lora` whose candidate differs from the base by its instruction alone."""
    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)

    def bench(reply, *, usecase=USECASE, failing=None, **files):
        project = small_usecase(tmp_path, usecase=usecase)
        for name, text in files.items():
            path = tmp_path / "probes" / f"{name}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(reply, failing=failing))
        made = flow.open_bench(prepare(project))
        start, _ = PromptLever().propose(made)
        prompt = start.prompt.model_copy(update={"instruction": TRAINED})
        made.adopt("lora", start.model_copy(update={"lever": "lora", "prompt": prompt}), ())
        made.histories["lora"] = ((Mark(step=5, epoch=1, loss=0.5, dev=1.0, standard_error=0.0),), 5)
        return made

    return bench


def is_trained(request):
    return TRAINED in request.messages[0].content


def brittle(request):
    """Right under the training's instruction, unless the message is polite; the base is always wrong."""
    if "Message: " not in request.messages[-1].content or not set(SIGNS.values()) & set(asked(request).split()):
        return "keys"  # whatever it is asked
    if is_trained(request) and "many thanks" not in asked(request).casefold():
        return right(request)
    return LABELS[(LABELS.index(right(request)) + 1) % 3]


def test_what_breaks_it_is_found_and_what_does_not_is_not(bench):
    found = probing.probe(bench(brittle), "lora", CHEAP).robustness
    changes = {variant.change: variant for variant in found.variants}
    assert (found.score, changes["politer"].score, changes["longer"].score) == (1.0, 0.0, 1.0)
    assert changes["politer"].comparison.difference.high < 0
    assert changes["longer"].comparison.difference.value == 0
    assert (found.n_outside, found.made_up.value, found.refused.value) == (24, 1.0, 0.0)
    assert found.not_applicable


def test_fit_compares_rows_that_were_trained_on_with_unseen_ones(bench):
    made = bench(brittle)
    fit = probing.probe(made, "lora", ["fit"]).fit
    assert (fit.train, fit.dev, fit.overfitted) == (1.0, 1.0, False)
    assert fit.gap.low < 0 < fit.gap.high


def test_rows_that_were_learnt_by_heart_show(bench):
    learnt = set()
    made = bench(lambda request: right(request) if asked(request) in learnt else "none")
    learnt |= {row.input["message"] for row in made.train}
    fit = probing.probe(made, "lora", ["fit"]).fit
    assert (fit.train, fit.dev, fit.overfitted) == (1.0, 0.0, True)


def test_what_cannot_be_measured_says_why_and_what_was_not_asked_for_how(bench):
    found = probing.probe(bench(brittle), "lora", ["drift", "copying", "files", "staleness", "unknown"])
    why = found.not_measured
    assert found.drift is found.copying is found.files is found.unknown is None
    assert "probabilities" in why["drift"]
    assert "label" in why["copying"]
    assert "probes/" in why["files"]
    assert "documents" in why["staleness"]
    assert "behaviour" in why["unknown"]
    assert "eval --probe canaries" in why["canaries"]
    assert set(why) == set(NAMES)


def test_a_model_that_is_down_is_no_good_model(bench):
    made = bench(brittle, failing={"poem about people": "timeout"})
    found = probing.probe(made, "lora", ["refusals"])
    assert found.refusals is None
    assert "could not be asked" in found.not_measured["refusals"]


def test_what_was_found_is_kept_and_shown_when_another_probe_is_asked_for(bench):
    made = bench(brittle)
    first = probing.probe(made, "lora", ["refusals", "robustness"])
    made.sources.model._reply = lambda request: pytest.fail("asked again")
    again = probing.probe(made, "lora", ["refusals"])
    assert (again.refusals, again.robustness) == (first.refusals, first.robustness)
    assert "robustness" not in again.not_measured


def test_probe_files_of_the_user_are_held_to_the_bar(bench):
    rows = "".join(f"{json.dumps({'ask': f'Say {n}', 'right': str(n)})}\n" for n in range(30))
    usecase = USECASE.replace("[budget]", "largest_loss = 0.05\n[budget]")
    found = probing.probe(bench(lambda request: "3", usecase=usecase, mine=rows), "lora", ["files"])
    kept = found.files["mine.jsonl"]
    assert (kept.n, kept.margin, kept.base, kept.tuned) == (30, 0.05, 1 / 30, 1 / 30)
    assert kept.kinds[0].kind == "own"


def test_answers_taken_from_training_rows_are_told_from_the_bases(bench):
    usecase = TEXTS.replace("max_tokens = 8", "max_tokens = 64")
    made = bench(brittle, usecase=usecase)
    rows = [f"{word} " * 3 + "this very sentence stands among all the training outputs" for word in "abcdefgh"]
    made.train = tuple(row.model_copy(update={"expected": rows[n % 8]}) for n, row in enumerate(made.train))
    reply = lambda request: rows[0] if is_trained(request) else "something else of at least eight words in all"  # noqa: E731
    made.sources.model._reply = reply
    made.adopt(
        "lora", made.found["lora"].model_copy(update={"decoding": made.decoding.model_copy(update={"seed": 9})}), ()
    )
    found = probing.probe(made, "lora", ["copying"]).copying
    assert (found.trained.value, found.base.value) == (1.0, 0.0)
    assert found.nearest > 0.9 > 0.5 > found.nearest_base


def test_unknown_facts_are_rows_that_the_base_never_gives(bench):
    made = bench(lambda request: right(request) if right(request) != "keys" else "?", usecase=TEXTS)
    found = beforehand.probe(made, ["unknown"]).unknown
    asked_rows = unknown.drawn([row.name for row in made.train], made.usecase.seed).asked
    keys = {row.name for row in made.train if row.expected == "keys"} & set(asked_rows)
    assert set(found.rows) == keys
    assert found.unknown.value == pytest.approx(len(keys) / len(asked_rows))
    assert found.state == "refuse"
    assert "retrieval" in found.advice


def test_a_base_that_repeats_its_shots_knows_nothing(bench):
    """It answers whatever it was shown with this very message: a row among its own shots would look known."""

    def parrot(request):
        asked_now = request.messages[-1].content
        shown = [b.content for a, b in pairwise(request.messages) if a.content.split("Message: ")[-1] in asked_now]
        return shown[0] if shown else "?"

    found = beforehand.probe(bench(parrot, usecase=TEXTS), ["unknown"]).unknown
    assert found.unknown.value == 1.0


def test_what_the_base_never_gives_is_kept_for_these_rows_and_found_by_the_ground_and_by_every_lever(bench):
    made = bench(lambda request: "?", usecase=TEXTS)
    first = beforehand.probe(made, ["unknown"]).unknown
    made.sources.model._reply = lambda request: pytest.fail("asked again")
    assert beforehand.probe(made, ["unknown"]).unknown == first
    assert probing.probe(made, "lora", []).unknown == first
    assert prepare(made.project).unknown == first
    rows = made.project.folder / "data" / "examples.jsonl"
    rows.write_text("".join(line + "\n" for line in rows.read_text().splitlines()[1:]))
    assert prepare(open_project(made.project.folder)).unknown is None


def test_a_row_that_does_not_fit_the_model_is_no_unknown_one(bench):
    made = bench(lambda request: "?", usecase=TEXTS)
    too_long = Completion(too_long=True, detail="900 tokens", finish="length")
    made.sources.model.complete = lambda requests, on_done=None: [too_long for _ in requests]
    found = beforehand.probe(made, ["unknown"])
    assert found.unknown is None
    assert "does not fit" in found.not_measured["unknown"]


def test_the_base_alone_is_asked_the_users_own_probes_and_nothing_that_needs_a_trained_model(bench):
    rows = "".join(f"{json.dumps({'ask': f'Say {n}', 'right': str(n), 'kind': 'ab'[n % 2]})}\n" for n in range(50))
    found = beforehand.probe(bench(lambda request: "3", mine=rows), ["files", "drift"])
    score = found.files["mine.jsonl"]
    assert (score.n, score.items, score.right.value) == (50, 50, 1 / 50)
    assert [(kind.kind, kind.right.value) for kind in score.kinds] == [("a", 0.0), ("b", 1 / 25)]
    assert "--lever lora" in found.not_measured["drift"]
    assert "not asked for" in found.not_measured["unknown"]


# --- what is asked and kept -----------------------------------------------------------------------


def test_equal_inputs_are_asked_once_and_every_answer_stays_with_its_own_input(bench):
    calls = []

    def counting(request):
        calls.append(asked(request))
        return f"{asked(request)}#{len(calls)}"

    made = bench(counting, failing={"nobody": "timeout"})
    answerer = Answerer(made.found["prompt"], made.sources)
    rows = [{"message": text} for text in ("A", "A", "nobody", "B", "nobody", "C")]
    calls.clear()
    found = beforehand.asked(answerer, rows, made.project.answers)
    assert [answer.text for answer in found] == ["A#1", "A#1", "", "B#2", "", "C#3"]
    assert [answer.error for answer in found] == [None, None, "timeout", None, "timeout", None]
    assert beforehand.asked(answerer, rows, made.project.answers) == found
    assert calls == ["A", "B", "C"]


class Marking:
    """A scorer that gives every answer the same score."""

    name, version, binary = "marking", 1, False

    def __init__(self, score):
        self._score = score

    def score(self, case, output, *, lenient=False):
        return self._score


def test_a_graded_answer_as_good_as_the_bar_asks_is_known(bench):
    made = bench(lambda request: "?", usecase=TEXTS)  # the bar is .75
    for value, never in ((0.95, 0.0), (0.75, 0.0), (0.7, 1.0)):
        made.yardstick = Yardstick(Marking(Score(value=value)))
        assert beforehand.unknown_facts(made).unknown.value == never


def test_an_answer_that_could_not_be_judged_is_no_unknown_fact(bench):
    made = bench(lambda request: "?", usecase=TEXTS)
    made.yardstick = Yardstick(Marking(Score(unscored="judge_refused", explanation="it says nothing")))
    found = beforehand.probe(made, ["unknown"])
    assert found.unknown is None
    assert "judge_refused: it says nothing" in found.not_measured["unknown"]


def test_what_the_base_never_gives_is_kept_apart_for_other_wordings_another_order_and_another_bar(bench):
    made = bench(lambda request: "?", usecase=TEXTS)
    made.yardstick = Yardstick(Marking(Score(value=1.0)))
    field, bar = made.usecase.input["message"], made.usecase.bar
    changes = (
        {},
        {"wordings": ("Name the team that is to mend it.",)},
        {"input": {"message": field, "room": field}},
        {"input": {"room": field, "message": field}},
        {"bar": bar.model_copy(update={"at_least": 0.8})},
    )
    usecases = [made.usecase.model_copy(update=change) for change in changes]
    places = {unknown.place(made.project, usecase, "v", made.yardstick) for usecase in usecases}
    assert len(places) == len(changes)


def test_a_probe_does_not_outlive_its_scorer_or_its_level(bench):
    made = bench(brittle)
    before = made.yardstick, made.sources
    first = probing.probe(made, "lora", ["robustness"]).robustness
    assert probing.probe(made, "lora", []).robustness == first
    made.yardstick = Yardstick(Marking(Score(value=1.0)))
    assert probing.probe(made, "lora", []).robustness is None
    made.yardstick = before[0]
    bar = made.usecase.bar.model_copy(update={"alpha": 0.1})
    made.sources = replace(before[1], usecase=made.usecase.model_copy(update={"bar": bar}))
    assert probing.probe(made, "lora", []).robustness is None
