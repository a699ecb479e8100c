"""BLEU and chrF of all answers together: the numbers of sacrebleu's own command line."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest

from tuneworthy.measure import corpus
from tuneworthy.measure.corpus import corpus_difference, difference
from tuneworthy.records import Answer, Arm, Candidate, Case, CaseResult, Score
from tuneworthy.scorers.overlap import corpus_metric
from tuneworthy.usecase import Output

WORDS = "the parcel left our house on monday and will be with you soon we are sorry for any delay".split()
TEXT = Output(kind="text")


def texts(n, *, kept, seed):
    """References, and answers that keep this share of their words."""
    draw = random.Random(seed)
    wanted = [" ".join(draw.choices(WORDS, k=draw.randint(6, 14))) for _ in range(n)]
    draw = random.Random(f"{seed} {kept}")
    said = [" ".join(w if draw.random() < kept else draw.choice(WORDS) for w in text.split()) for text in wanted]
    return wanted, said


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_p_and_scores_are_those_of_sacrebleus_command_line(tmp_path, metric):
    wanted, one = texts(60, kept=0.75, seed=1)
    two = texts(60, kept=0.85, seed=1)[1]
    for name, lines in (("ref", wanted), ("one", one), ("two", two)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "one", "two", "-m", metric, "--paired-ar", "-f", "json"]
    done = subprocess.run([*command, "-w", "10"], cwd=tmp_path, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    found = difference(metric, one, two, [wanted])
    (key,) = (key for key in theirs[1] if key != "system")
    assert found.p == pytest.approx(theirs[1][key]["p_value"], abs=1e-9)
    assert [found.reference, found.candidate] == pytest.approx([row[key]["score"] for row in theirs], abs=1e-9)
    assert 0 < found.p < 0.5
    assert "ar:10000" in found.signature
    assert (found.difference, found.note) == (None, "60 cases, at least 100 are needed for an interval")


@pytest.mark.slow
def test_swapping_the_arms_mirrors_the_difference_and_keeps_p():
    wanted, one = texts(120, kept=0.7, seed=2)
    two = texts(120, kept=0.75, seed=2)[1]
    there, back = (difference("chrf", *pair, [wanted]) for pair in ((one, two), (two, one)))
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert there.difference.low == pytest.approx(-back.difference.high, abs=0.2)
    assert there.difference.low < there.difference.value < there.difference.high
    assert there.p == pytest.approx(back.p, abs=0.02)


def test_two_equal_systems_have_p_one_where_sacrebleu_leaves_ties_out():
    wanted, one = texts(120, kept=0.7, seed=2)
    assert difference("bleu", one, one, [wanted]).p == 1.0


def arm(name, said):
    scores = [Score(unscored="timeout") if text is None else Score(value=0.5) for text in said]
    results = [CaseResult(case=f"{i}", answer=Answer(text=text or ""), score=s, lenient=s)
               for i, (text, s) in enumerate(zip(said, scores, strict=True))]  # fmt: skip
    return Arm(name=name, candidate=Candidate(lever="prompt", model="m"), cases="x", results=tuple(results))


def test_only_cases_scored_in_both_arms_count_and_clusters_forbid_a_p():
    wanted, one = texts(30, kept=0.7, seed=3)
    two = texts(30, kept=0.9, seed=3)[1]
    cases = [Case(id=f"{i}", input={"q": "?"}, expected=text) for i, text in enumerate(wanted)]
    arms = arm("a", [None, *one[1:]]), arm("b", [*two[:-1], None])
    found = corpus_difference("bleu", *arms, cases, TEXT)
    assert found.n == 28
    plain = difference("bleu", one[1:-1], two[1:-1], [wanted[1:-1]])
    assert (found.p, found.candidate) == (plain.p, plain.candidate)
    shared = corpus_difference("bleu", *arms, cases, TEXT, clusters={"3": "doc", "4": "doc"})
    assert (shared.p, shared.difference, shared.candidate) == (None, None, found.candidate)
    assert corpus_difference("exact", *arms, cases, TEXT) is None
    assert corpus_difference("bleu", arm("a", [None] * 30), arms[1], cases, TEXT) is None


@pytest.mark.slow
def test_the_interval_holds_the_difference_of_the_whole_population(monkeypatch):
    """40 samples of 100 cases from 2,000, whose own difference is known; 200 draws for each interval."""
    wanted, one = texts(2_000, kept=0.7, seed=4)
    two = texts(2_000, kept=0.76, seed=4)[1]
    judge, rng, covered = corpus_metric("bleu"), np.random.default_rng(0), 0
    whole = judge.corpus_score(two, [wanted]).score - judge.corpus_score(one, [wanted]).score
    monkeypatch.setattr(corpus, "DRAWS", 200)
    for _ in range(40):
        ids = rng.choice(2_000, 100, replace=False)
        parts = [[text[i] for i in ids] for text in (one, two, wanted)]
        found = corpus._interval(judge, parts[0], parts[1], [parts[2]], 0.95, 0)
        covered += found.low <= whole <= found.high
    assert covered / 40 >= 0.85
