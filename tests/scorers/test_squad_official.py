"""SQuAD v1.1: the official scores of published predictions, reproduced."""

import json
import os
from pathlib import Path

import pytest

from tuneworthy.records import Case
from tuneworthy.scorers.squad import SquadExactMatch, SquadF1
from tuneworthy.usecase import Output

SHARED = Path(os.environ.get("TUNEWORTHY_SHARED", Path(__file__).parents[3] / "shared"))
SQUAD = SHARED / "data" / "squad"
TEXT = Output(kind="text")

pytestmark = pytest.mark.skipif(not SQUAD.is_dir(), reason="the SQuAD data is not here: set TUNEWORTHY_SHARED")


@pytest.fixture(scope="module")
def cases():
    articles = json.loads((SQUAD / "dev-v1.1.json").read_text("utf-8"))["data"]
    return [
        Case(id=qa["id"], input={"question": qa["question"]}, expected=[a["text"] for a in qa["answers"]])
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


@pytest.mark.parametrize(
    ("system", "exact_match", "f1"),
    [
        ("bert_ensemble", 86.2062, 92.1956),
        ("rnet_ensemble", 82.4693, 88.4779),
        ("slqa_ensemble", 81.9489, 88.3839),
        ("match_lstm_ensemble", 67.6348, 76.7556),
    ],
)
def test_official_scores(cases, system, exact_match, f1):
    answers = json.loads((SQUAD / "predictions" / f"{system}.json").read_text("utf-8"))
    for scorer, official in ((SquadExactMatch(TEXT), exact_match), (SquadF1(TEXT), f1)):
        total = sum(scorer.score(case, answers[case.id]).value for case in cases)
        assert 100 * total / len(cases) == pytest.approx(official, abs=0.0001)
