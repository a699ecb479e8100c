"""What a defect is worth: exact with a learner whose scores are known, and with planted noise."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from small import LABELS, row, small_usecase
from tuneworthy import flow, worth
from tuneworthy.data import engine
from tuneworthy.data.findings import CheckReport, Finding, RowRef
from tuneworthy.errors import GateRefused, ModelError, TrainingError
from tuneworthy.ground import prepare
from tuneworthy.levers import price as prices
from tuneworthy.levers import small_arms
from tuneworthy.levers.small_arms import Fold, Plain, Trainings, cases_of


class Watcher:
    def __init__(self):
        self.told, self.steps = [], []

    def step(self, what, done, total):
        self.steps.append((what, done, total))

    def lever(self, name, state, text):
        self.told.append((name, state, text))

    def arm(self, report, comparison):
        raise AssertionError("no locked case is opened")


@pytest.fixture(autouse=True)
def no_embeddings(monkeypatch):
    monkeypatch.setattr(worth, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


def folder_of(path, rows):
    small_usecase(path, cases=0, examples=0)
    (path / "data").mkdir(exist_ok=True)
    (path / "data" / "examples.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows), "utf-8")
    return path


def noisy(path, *, rows=120, share=0.2, seed=3, signs=10):
    """A use case whose labels are wrong in a share of the rows; the names of those rows. Each label is told by some
    words that stand in few rows each, so that a wrong one does harm."""
    dice = random.Random(seed)

    def word():
        return "".join(dice.choice("bdfgklmnprstvz") + dice.choice("aeiou") for _ in range(3))

    words = {label: [word() for _ in range(signs)] for label in LABELS}
    made = []
    for n in range(rows):
        label = LABELS[n % 3]
        made.append({"input": {"message": f"{word()} {dice.choice(words[label])} {word()}"}, "expected": label})
    wrong = dice.sample(range(rows), round(share * rows))
    for n in wrong:
        made[n]["expected"] = LABELS[(LABELS.index(made[n]["expected"]) + 1) % 3]
    folder = folder_of(path, made)
    examples = engine.load(flow.open_project(folder)).examples
    return folder, [examples[n].name for n in wrong]


def finding(names, check="labels", kind="doubtful", next_step="look"):
    rows = tuple(RowRef(name=name, where="") for name in names)
    return Finding(check=check, kind=kind, severity="review", what="w", why="y", rows=rows, next=next_step)


def report(*findings):
    return CheckReport(version="", examples=0, cases=0, findings=findings)


def priced(folder, *findings, seeds=3, learner=None):
    ground = prepare(flow.open_project(folder))
    learner = learner or Plain(ground, None)
    batch = engine.load(ground.project)
    groups, left = prices.groups_of(report(*findings), batch, ground.examples, most=learner.most_groups)
    counting = Trainings(ground, lambda *_: None, prices.trainings(learner, groups, seeds=seeds))
    return prices.price(learner, groups, counting, seeds=seeds) if groups else [], left


class Known:
    """Learns nothing: `scores(label of the training, case, seed)` says what it answers."""

    lever, told, most_groups = "known", "a learner whose scores are known", 5

    def __init__(self, ground, scores):
        self.ground, self.scores, self.asked = ground, scores, []
        self.clusters = small_arms.clusters_of(ground.examples)

    def folds(self, seed):
        return [Fold(self.ground.train, self.ground.dev)]

    def learn(self, rows, cases, *, seed, label):
        self.asked.append((label, len(rows)))
        return {case.id: self.scores(label, case, seed) for case in cases}


def test_the_price_is_the_effect_beyond_that_of_as_many_random_rows(tmp_path):
    folder, wrong = noisy(tmp_path / "u")
    ground = prepare(flow.open_project(folder))
    third, half = ({case.id for case in ground.dev[::n]} for n in (3, 2))

    def scores(label, case, seed):
        if label.startswith("labels.doubtful"):
            return 0.7 if case.id in third else 0.5
        return 0.4 if "random" in label and case.id in half else 0.5

    learner = Known(ground, scores)
    (found,), _ = priced(folder, finding(wrong), learner=learner)
    gained, lost = 0.2 * len(third) / len(ground.dev), 0.1 * len(half) / len(ground.dev)
    assert found.effect.value == pytest.approx(gained)
    assert found.control.value == pytest.approx(-lost)
    assert found.price.value == pytest.approx(gained + lost)
    assert found.price.low < found.price.value < found.price.high
    assert found.score == pytest.approx(0.5)
    assert (found.cases, found.seeds, found.trainings) == (len(ground.dev), 3, 9)
    sizes = dict(learner.asked)
    gone = len(set(wrong) & {e.name for e in ground.train})
    assert Counter(sizes.values()) == {len(ground.train): 3, len(ground.train) - gone: 6}


def test_wrong_labels_cost_points_and_random_rows_cost_none(tmp_path):
    folder, wrong = noisy(tmp_path / "u", rows=240, share=0.25)
    names = [e.name for e in engine.load(flow.open_project(folder)).examples]
    others = random.Random(1).sample(sorted(set(names) - set(wrong)), len(wrong))
    found, _ = priced(folder, finding(wrong), finding(others, kind="other"), seeds=2)
    bad, good = found
    assert bad.price.low > 0.02
    assert good.price.low < 0.0
    assert good.price.value < bad.price.value - 0.05


def test_the_suspects_of_the_check_are_priced_on_the_command_line(tmp_path, capsys, monkeypatch):
    from typer.testing import CliRunner

    from tuneworthy import cli

    folder, _ = noisy(tmp_path / "u")
    done = CliRunner().invoke(cli.app, ["data", "check", str(folder), "--price", "--json"])
    told = json.loads(done.stdout)
    (found,) = [p for p in told["prices"] if p["finding"] == "labels.doubtful"]
    assert found["rows"] == 12
    assert found["trainings"] == 3 * 4 * 3
    (shown,) = [f["cost"] for f in told["findings"] if f["kind"] == "doubtful"]
    assert shown.startswith("left out: ")
    assert "n = 120, 3 seeds" in shown
    assert "36 trainings (plain classifier on TF-IDF)" in done.stderr
    assert "cost: left out" in done.stderr


def test_without_the_option_the_cost_is_not_measured(tmp_path):
    folder, _ = noisy(tmp_path / "u")
    told = engine.check(folder).report
    assert {f.cost for f in told.findings} == {"not measured"}
    assert told.prices == ()


def test_a_second_measurement_trains_nothing_and_says_the_same(tmp_path, monkeypatch):
    folder, wrong = noisy(tmp_path / "u")
    first, _ = priced(folder, finding(wrong), seeds=1)
    monkeypatch.setattr(small_arms, "PlainClassifier", None)
    again, _ = priced(folder, finding(wrong), seeds=1)
    assert again == first
    for path in (folder / ".tuneworthy" / "small-arms").glob("*.json"):
        path.write_text('{"torn')
    with pytest.raises(TypeError):
        priced(folder, finding(wrong))


def test_what_cannot_be_priced_says_why(tmp_path):
    folder, wrong = noisy(tmp_path / "u")
    names = [e.name for e in engine.load(flow.open_project(folder)).examples]
    found, left = priced(
        folder,
        finding(wrong[:9], kind="few"),
        finding(names, kind="all"),
        finding(wrong, "leakage", "rephrased"),
        finding(wrong, "coverage", "rare_label"),
        finding(wrong, "duplicates", "exact"),
        finding(["no such row"], kind="elsewhere"),
    )
    assert found == []
    reasons = [gap.reason for gap in left]
    assert [any(word in reason for reason in reasons) for word in ("fewer than", "half", "locked", "themselves")]
    assert len(left) == 6


def test_a_rule_repairs_instead_of_leaving_out(tmp_path):
    dice = random.Random(4)
    rows = [row(dice, LABELS[n % 3]) for n in range(90)]
    for n in range(0, 90, 5):
        rows[n]["input"]["message"] += " cafÃ© crÃ¨me"
    folder = folder_of(tmp_path / "u", rows)
    batch = engine.load(flow.open_project(folder))
    damaged = [e.name for n, e in enumerate(batch.examples) if n % 5 == 0]
    seen = []
    ground = prepare(flow.open_project(folder))

    class Seeing(Plain):
        def learn(self, rows, cases, *, seed, label):
            seen.append((label, len(rows), sum("café" in r.input["message"] for r in rows)))
            return super().learn(rows, cases, seed=seed, label=label)

    fix = "tuneworthy data fix --rule encoding"
    (found,), _ = priced(folder, finding(damaged, "shape", "damaged_text", fix), learner=Seeing(ground, None))
    assert found.control is None
    assert found.tried == "after the rule encoding"
    assert found.cases == 72, "rows that the rule rewrites do not judge"
    repaired = [n for label, _, n in seen if label.startswith("shape")]
    assert min(repaired) > 5
    assert {n for label, _, n in seen if label.startswith("the rows")} == {0}


def test_folds_judge_every_row_once_and_share_no_cluster(tmp_path):
    dice = random.Random(5)
    rows = [row(dice, LABELS[n % 3]) for n in range(60)]
    copies = [{**r, "input": {"message": r["input"]["message"] + " please"}} for r in rows[:20]]
    ground = prepare(flow.open_project(folder_of(tmp_path / "u", rows + copies)))
    learner = Plain(ground, None)
    for seed in range(3):
        folds = learner.folds(seed)
        judged = [case.id for fold in folds for case in fold.cases]
        assert sorted(judged) == sorted(e.name for e in ground.examples)
        for fold in folds:
            of_cases = {case.cluster for case in fold.cases}
            of_train = {learner._cases[e.name].cluster for e in fold.train}
            assert not of_cases & of_train
            assert len(fold.train) + len(fold.cases) == 80
    assert learner.folds(0) == Plain(ground, None).folds(0)
    assert learner.folds(0) != learner.folds(1)
    assert len({case.cluster for case in cases_of(learner.folds(0))}) == 60


def test_more_time_than_the_budget_is_refused_with_what_it_would_take(tmp_path, monkeypatch):
    folder, wrong = noisy(tmp_path / "u")
    clock = iter(range(0, 10**9, 3600 * 5))
    monkeypatch.setattr("tuneworthy.levers.small_arms.time.monotonic", lambda: next(clock))
    with pytest.raises(TrainingError) as refused:
        priced(folder, finding(wrong))
    assert "36 trainings would take about" in refused.value.what


def test_lora_is_refused_before_the_suite_is_locked(tmp_path):
    folder, _ = noisy(tmp_path / "u")
    ground = prepare(flow.open_project(folder))
    with pytest.raises(GateRefused, match="not locked"):
        worth.open_small_arm(ground, Watcher(), "lora")


def test_one_label_among_the_rows_is_the_answer(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=60, share=0)
    ground = prepare(flow.open_project(folder))
    learner = Plain(ground, None)
    power = [e for e in ground.examples if e.expected == "power"]
    cases = cases_of(learner.folds(0))
    scores = learner.learn(power, cases, seed=0, label="")
    assert np.mean(list(scores.values())) == pytest.approx(1 / 3)


def test_weights_that_are_not_here_make_no_small_arm(tmp_path, monkeypatch):
    from tuneworthy.models.scripted import Scripted

    small_usecase(tmp_path / "u")
    flow.lock_suite(tmp_path / "u", again=False)
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(lambda request: "power"))
    ground = prepare(flow.open_project(tmp_path / "u"))
    with pytest.raises(ModelError, match="weights"):
        worth.open_small_arm(ground, Watcher(), "lora")
