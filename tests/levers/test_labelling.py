"""What to label next: the rule on points that can be drawn, the trial against chance, and the command."""

import json
import random

import numpy as np
import pytest
from test_price import Known, Watcher, folder_of, noisy
from typer.testing import CliRunner

from small import LABELS
from tuneworthy import cli, flow, worth
from tuneworthy.data.worth_labelling import choose, vectors
from tuneworthy.ground import prepare
from tuneworthy.levers import labelling
from tuneworthy.levers.small_arms import Plain, Trainings
from tuneworthy.records import Interval


@pytest.fixture(autouse=True)
def no_embeddings(monkeypatch):
    monkeypatch.setattr(worth, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


# --- the rule -------------------------------------------------------------------------------------


def at(*angles):
    radians = np.deg2rad(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_what_is_labelled_already_is_not_chosen_again():
    assert choose(at(0, 1, 90), at(0), None, 1) == [2]


def test_the_middle_of_many_rows_comes_before_an_outlier():
    assert choose(at(80, 85, 90, 95, 100, 179), at(0), None, 1)[0] in (1, 2, 3, 4)


def test_the_next_row_is_unlike_the_one_before():
    chosen = choose(at(0, 1, 2, 90, 91, 92), np.zeros((0, 2), np.float32), None, 2)
    assert {number // 3 for number in chosen} == {0, 1}


def test_uncertain_rows_weigh_more():
    pool = at(40, 42, 138, 140)
    sure, unsure = 0.1, 0.9
    first = choose(pool, at(90), np.array([sure, sure, unsure, unsure]), 1)
    assert first[0] in (2, 3)
    assert choose(pool, at(90), np.array([unsure, unsure, sure, sure]), 1)[0] in (0, 1)


def test_never_more_rows_than_there_are_nor_one_twice():
    assert sorted(choose(at(10, 10, 10), at(10), np.ones(3), 9)) == [0, 1, 2]


def test_of_very_many_rows_a_random_part_is_compared(monkeypatch):
    monkeypatch.setattr("tuneworthy.data.worth_labelling.MOST", 20)
    pool = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    chosen = choose(pool, pool[:3], None, 30, seed=1)
    assert len(set(chosen)) == 30
    assert chosen == choose(pool, pool[:3], None, 30, seed=1)


def test_vectors_without_an_embedding_model_tell_texts_apart():
    found = vectors(["the pipe leaks", "a pipe leaks", "no light in the hall", "no light in hall", "keys lost"], None)
    similar = found @ found.T
    assert np.allclose(np.diag(similar), 1, atol=1e-5)
    assert similar[0, 1] > 0.5 > similar[0, 2]
    assert vectors(["one text"], None).shape[0] == 1


# --- the trial ------------------------------------------------------------------------------------


def tried(folder, learner=None, seeds=2):
    ground = prepare(flow.open_project(folder))
    learner = learner or Plain(ground, None)
    counting = Trainings(ground, lambda *_: None, labelling.trainings(learner, seeds=seeds))
    found = labelling.try_out(ground.usecase, learner, None, counting, seeds=seeds)
    assert counting.done == counting.total == found.trainings
    return found


def test_the_difference_is_that_of_the_mean_scores(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=160)
    ground = prepare(flow.open_project(folder))
    third = {case.id for case in ground.dev[::3]}
    learner = Known(ground, lambda label, case, seed: 0.8 if "strategy" in label and case.id in third else 0.5)
    found = tried(folder, learner)
    assert found.strategy - found.chance == pytest.approx(0.3 * len(third) / len(ground.dev))
    assert found.difference.value == pytest.approx(found.strategy - found.chance)
    assert found.pays
    rows = len(ground.train)
    assert (found.start, found.end) == (round(rows / 4), round(rows / 4) + 2 * round(rows / 8))
    by_both = [{n for told, n in learner.asked if word in told} for word in ("strategy", "random")]
    assert by_both[0] == by_both[1]


def test_a_strategy_that_changes_nothing_does_not_pay(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=160)
    ground = prepare(flow.open_project(folder))
    found = tried(folder, Known(ground, lambda label, case, seed: 0.5))
    assert not found.pays
    assert found.difference.low < 0 < found.difference.high


def repetitive(path, rows=140):
    """Nine of ten rows say the same few things about one label: chance labels them over and over."""
    dice = random.Random(2)
    signs = ["".join(dice.choice("bdfgklmnprstvz") + dice.choice("aeiou") for _ in range(4)) for _ in range(24)]
    made = []
    for n in range(rows):
        sign = signs[0] if n % 10 < 8 else dice.choice(signs[1:])
        tail = " ".join("".join(dice.choices("abcdefgh", k=5)) for _ in range(3))
        made.append({"input": {"message": f"{sign} {sign} {tail}"}, "expected": LABELS[signs.index(sign) % 3]})
    return folder_of(path, made)


def test_where_chance_sees_the_same_again_and_again_the_strategy_pays(tmp_path):
    found = tried(repetitive(tmp_path / "u"))
    assert found.strategy > found.chance + 0.02


# --- the command ----------------------------------------------------------------------------------


def unlabelled(path, rows):
    path.write_text("".join(f"{json.dumps({'message': text})}\n" for text in rows), "utf-8")
    return path


def test_suggested_filled_in_and_taken_over(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=100)
    known = json.loads((folder / "data" / "examples.jsonl").read_text().splitlines()[0])["input"]["message"]
    source = unlabelled(tmp_path / "new.jsonl", [known, *(f"word{n} number{n}" for n in range(30))])
    done = CliRunner().invoke(cli.app, ["data", "label", str(source), str(folder), "--rows", "5", "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["pool"], told["known"], told["judged"]) == (30, 1, 0)
    assert told["by"] == ("strategy" if told["trial"]["difference"]["low"] > 0 else "chance")
    assert "trainings" in done.stderr
    path = folder / "data" / "to_label.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 5
    assert all(row["expected"] is None and row["why"] for row in rows)
    path.write_text("".join(f"{json.dumps({**row, 'expected': 'keys'})}\n" for row in rows))
    done = CliRunner().invoke(cli.app, ["data", "label", "--take", str(folder)])
    assert done.exit_code == 0, done.stderr
    assert "5 rows added" in done.stdout
    assert len((folder / "data" / "examples.jsonl").read_text().splitlines()) == 105


def test_rows_between_two_labels_say_which(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=100, share=0.0)
    ground = prepare(flow.open_project(folder))
    pool = [labelling.ToLabel(input={"message": f"zzz {n}"}) for n in range(6)]
    found = labelling.suggest(ground.usecase, ground.examples, pool, 2, by_strategy=True, embedder=None)
    for row in found:
        one, two = row.why.removesuffix("?").split(" or ")
        assert {one, two} < set(LABELS)
    drawn = labelling.suggest(ground.usecase, ground.examples, pool, 2, by_strategy=False, embedder=None)
    assert {row.why for row in drawn} == {"drawn at random"}


def test_without_a_trial_it_says_label_at_random_and_why(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=60)
    source = unlabelled(tmp_path / "new.jsonl", [f"word{n}" for n in range(9)])
    found, _ = worth.suggest_labels(source, folder, Watcher(), count=4)
    assert found.by == "chance"
    assert found.sentence == (
        "Label at random: whether a strategy beats that is not measured (fewer than 80 examples)."
    )


@pytest.mark.parametrize(("low", "told"), [(0.01, "The strategy beats"), (-0.01, "Label at random: the strategy did")])
def test_the_answer_is_in_words(low, told):
    difference = Interval(value=0.02, low=low, high=0.05)
    trial = labelling.Trial(
        learner="l", start=10, end=20, strategy=0.52, chance=0.5, difference=difference, cases=9, seeds=3, trainings=4
    )
    found = labelling.Suggestion(by="strategy", trial=trial, rows=(), pool=1, known=0, judged=0)
    assert found.sentence.startswith(told)
    assert "+2.0 points" in found.sentence


@pytest.mark.parametrize("words", [["data", "label"], ["data", "label", "x.jsonl", "--rows", "0"]])
def test_wrong_usage(words):
    assert CliRunner().invoke(cli.app, words).exit_code == 2
