"""Two arms before a pairwise judge: refused until it was held against people, corrected, and asked over real HTTP."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "models"))

from talking import Server, chat

from judging import FACTS, HONEST, QUOTED, judged_folder
from test_flow import Watcher
from tuneworthy import cli, flow, judging, runs
from tuneworthy.errors import JudgeNotCalibrated, NotComparable, PrivacyRefused
from tuneworthy.measure.agreement import agreement
from tuneworthy.measure.judged_pairs import judge_pairs, people, told
from tuneworthy.measure.spent import Amount
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Answer, Arm, Calibration, Candidate, Case, CaseResult, Interval, Score, Vote
from tuneworthy.report import html
from tuneworthy.runs import CaseOutput
from tuneworthy.scorers.judge import Preference

NOWHERE = Interval(value=0.5, low=0.4, high=0.6)


def held(human, judge):
    """A calibration from net preferences of people and of a judge (+1, 0, -1) on labelled pairs."""
    found = agreement([h >= 0 for h in human], [j >= 0 for j in judge])
    return Calibration(
        judge="j", labels="l", n=found.n, right=sum(h >= 0 for h in human), agreement=found.agreement,
        kappa=found.kappa, base_rate=found.base_rate, judged_right=NOWHERE, sensitivity=found.sensitivity,
        specificity=found.specificity, same_again=NOWHERE, order_kept=NOWHERE, first_preferred=None,
        length_correlation=None, length_p=None,
    )  # fmt: skip


def slipping(rng, human, slip):
    """A judge that turns a preference round, by chance, in a share of the pairs."""
    return np.where(rng.random(len(human)) < slip, -human, human)


# --- numbers --------------------------------------------------------------------------------------


def test_both_corrections_hold_what_people_would_say_and_the_judge_alone_does_not():
    """300 comparisons of 150 pairs. People prefer the candidate in 70 % (net +.4); the judge turns one in five round
    and sees +.24. 120 other pairs are labelled, 60 of these are voted on."""
    rng = np.random.default_rng(1)
    covered = {"by_judge": 0, "corrected": 0, "powered": 0}
    for _ in range(300):
        labelled = rng.choice([1, -1], 120)
        calibration = held(labelled, slipping(rng, labelled, 0.2))
        human = np.where(rng.random(150) < 0.7, 1, -1)
        choices = {f"{i:03}": int(c) for i, c in enumerate(slipping(rng, human, 0.2))}
        voted = {f"{i:03}": int(human[i]) for i in range(60)}
        found = told(choices, calibration, voted)
        for name in covered:
            interval = getattr(found, name)
            covered[name] += interval.low <= 0.4 <= interval.high
    assert covered["corrected"] / 300 == pytest.approx(0.95, abs=0.03)
    assert covered["powered"] / 300 == pytest.approx(0.94, abs=0.03)
    assert covered["by_judge"] / 300 < 0.55


def test_where_people_prefer_neither_the_judge_finds_a_preference_in_one_comparison_of_twenty():
    rng, found = np.random.default_rng(2), 0
    calibration = held(np.array([1, -1] * 30), np.array([1, -1] * 27 + [-1, 1] * 3))
    for _ in range(300):
        human = rng.choice([1, 0, -1], 80)
        found += told({str(i): int(c) for i, c in enumerate(slipping(rng, human, 0.1))}, calibration, {}).p < 0.05
    assert found / 300 <= 0.08


def test_few_votes_all_votes_and_shared_clusters_power_nothing():
    choices = {str(i): 1 if i % 3 else -1 for i in range(60)}
    calibration = held([1, -1] * 30, [1, -1] * 30)
    assert told(choices, calibration, {str(i): 1 for i in range(29)}).powered is None
    assert told(choices, calibration, dict.fromkeys(choices, 1)).powered is None
    enough = {str(i): choices[str(i)] for i in range(30)}
    assert told(choices, calibration, enough).powered is not None
    assert told(choices, calibration, enough, clusters={"1": "x", "2": "x"}).powered is None


def test_votes_count_only_on_the_answers_that_are_compared_and_whoever_is_named_first():
    pairs = [(Case(id=str(i), input={"q": f"{i}"}), f"ours {i}", f"theirs {i}") for i in range(4)]

    def vote(i, one, two, better):
        return Vote(input={"q": f"{i}"}, one=one, two=two, better=better)

    given = [
        vote(0, "ours 0", "theirs 0", "one"),
        vote(1, "theirs 1", "ours 1", "one"),
        vote(2, "ours 2", "an older answer", "one"),
        vote(9, "ours 9", "theirs 9", "one"),
        vote(3, "ours 3", "theirs 3", "one"),
        vote(3, "theirs 3", "ours 3", "one"),
    ]
    assert people(given, pairs) == {"0": 1, "1": -1, "3": 0}


def test_arms_on_other_cases_or_with_the_same_answers_are_refused():
    arm = Arm(name="a", candidate=Candidate(lever="prompt", model="m"), cases="x", results=())
    with pytest.raises(NotComparable, match="different cases"):
        judge_pairs(None, None, arm, arm.model_copy(update={"cases": "y"}), ())
    with pytest.raises(NotComparable, match="no two different answers"):
        judge_pairs(None, None, arm, arm, ())


class Partial:
    """A judge that prefers whatever is named first: the candidate."""

    digest = "j"

    def preferences(self, triples):
        return [Preference(1) for _ in triples]


def answered(name, answers):
    """An arm from answers; those with an error have no score."""
    scores = [Score(value=1.0) if a.error is None else Score(unscored=a.error) for a in answers]
    results = tuple(
        CaseResult(case=f"{i}", answer=a, score=s, lenient=s)
        for i, (a, s) in enumerate(zip(answers, scores, strict=True))
    )
    return Arm(name=name, candidate=Candidate(lever=name, model="m"), cases="x", results=results)


@pytest.mark.parametrize("reason", ["content_filter", "parse", "timeout", "transport"])
@pytest.mark.parametrize("lost", [1, 2])
def test_an_answer_that_did_not_come_is_no_loss_and_is_counted(reason, lost):
    cases = [Case(id=f"{i}", input={"q": f"{i}"}) for i in range(50)]
    failed = [Answer(finish="error", error=reason)] * lost
    theirs = answered("prompt", [*failed, *(Answer(text=f"theirs {i}") for i in range(lost, 50))])
    ours = answered("lora", [Answer(text=f"ours {i}") for i in range(50)])
    found = judge_pairs(Partial(), held([1, -1] * 30, [1, -1] * 30), theirs, ours, cases)
    assert (found.n, found.wins, found.unanswered) == (50 - lost, 50 - lost, lost)
    assert found.problem == ("" if lost == 1 else "2 of 50 cases were not answered by both arms; at most 2 % may")


def test_the_record_of_a_run_tells_an_answer_that_did_not_come_from_one_that_could_not_be_scored():
    for reason in ("content_filter", "parse", "timeout", "transport"):
        assert runs._result("a", CaseOutput(unscored=reason)).answer.error == reason
        assert runs._result("a", CaseOutput(text="said", unscored=reason)).answer.error is None
    assert runs._result("a", CaseOutput(unscored="missing_expected")).answer.error is None
    assert runs._result("a", CaseOutput(score=0.0)).answer.error is None


# --- a use case -----------------------------------------------------------------------------------


def better_with_examples(request):
    """A base model that states the fact to 3 of 10 questions, and to 9 of 10 when it is shown examples."""
    share = 0.9 if len(request.messages) > 1 or "Output:" in request.messages[-1].content else 0.3
    draw = random.Random("".join(message.content for message in request.messages))
    text = draw.choice(FACTS) if draw.random() < share else "We will look into it some day"
    return f"{text} ({draw.randrange(10**6)})"


def prefers_facts(text):
    """What a judge that sees the facts says of the two answers in a question; A, B or tie."""
    one, two = (any(fact in answer for fact in FACTS) for answer in QUOTED.findall(text)[-2:])
    return "tie" if one == two else "A" if one else "B"


def over_http(body):
    """The same judge behind an endpoint: the word travels in an object."""
    return 200, {}, chat(json.dumps({"answer": prefers_facts(body["messages"][-1]["content"])}))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run whose bar needs no judge; the endpoint of its pairwise judge is a real server."""
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        server.reply = over_http
        patch.setattr(flow, "open_model", lambda usecase, folder: Scripted(better_with_examples, name="base"))
        patch.setattr(flow, "minilm_at_hand", lambda: False)
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        folder = judged_folder(tmp_path_factory.mktemp("pairs") / "replies", HONEST, mode="pairwise", metric="contains")
        toml = folder / "usecase.toml"
        served = f'base = "big"\nendpoint = "{server.url}"\n'
        toml.write_text(toml.read_text().replace('base = "scripted"\n', served))
        further = {"tokens": "at_most = 40", "cost": "at_most = 0.1, eur_in = 1, eur_out = 2", "latency": "at_most = 1"}
        tables = [f'[[scorers]]\nname = "{name}"\nsettings = {{ {given} }}\n' for name, given in further.items()]
        toml.write_text(toml.read_text() + "".join(tables))
        flow.lock_suite(folder, again=False)
        flow.run(folder, Watcher())
        yield folder, server


@pytest.fixture(scope="module")
def against_people(ran):
    """The same, once the judge was held against people."""
    assert judging.calibrate_judge(ran[0], None).problems == ()
    return ran


def test_a_run_tells_what_further_scorers_say_and_what_nobody_told_them(ran):
    record = runs.load(flow.open_project(ran[0]).latest_run() / "verdict.json")
    prompt, shown = (next(arm for arm in record.arms if arm.name == name) for name in ("prompt", "few_shot"))
    assert (prompt.further["latency"].n, prompt.further["latency"].unscored) == (0, {"not_told": 40})
    assert prompt.further["latency"].interval is None
    assert prompt.further["tokens"].interval.value == 1.0
    assert shown.further["tokens"].interval.value == 0.0, "worked examples lengthen every prompt"
    assert prompt.further["cost"].interval.high >= shown.further["cost"].interval.value
    case = record.cases[0].outputs["few_shot"].further
    assert (case["tokens"], case["latency"]) == (0.0, None)
    page = html.render(record)
    assert "Beside the bar" in page
    assert "1,000 answers" not in page, "nobody gave a price in prices.toml"
    priced = record.arms[0].model_copy(update={"eur_per_1000": Amount(mean=0.1234, interval=None)})
    assert "0.12" in html.render(record.model_copy(update={"arms": (priced, *record.arms[1:])}))


def test_an_uncalibrated_judge_is_refused(ran):
    folder, server = ran
    assert not (folder / "suite" / "judge.json").exists()
    asked = len(server.asked)
    with pytest.raises(JudgeNotCalibrated, match="never held against people"):
        judging.judge_pairs(folder, "prompt", "few_shot")
    assert len(server.asked) == asked


def test_a_model_behind_an_endpoint_judges_two_arms_in_both_orders(against_people):
    folder, server = against_people
    asked = len(server.asked)
    found = judging.judge_pairs(folder, "prompt", "few_shot")
    assert len(server.asked) == asked + 2 * found.n
    assert server.asked[-1]["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == [
        "A",
        "B",
        "tie",
    ]
    assert found.wins > found.losses
    assert found.p < 0.05
    assert found.corrected.low > 0
    assert found.corrected.value == pytest.approx(found.by_judge.value, abs=0.05)
    assert found.corrected.high - found.corrected.low >= found.by_judge.high - found.by_judge.low - 0.05
    assert (found.powered, found.voted, found.problem) == (None, 0, "")
    back = judging.judge_pairs(folder, "few_shot", "prompt")
    assert len(server.asked) == asked + 2 * found.n, "what was judged once is kept, whichever arm is named first"
    assert (back.wins, back.losses) == (found.losses, found.wins)
    assert back.corrected.value == pytest.approx(-found.corrected.value)
    shown = CliRunner().invoke(cli.app, ["compare", "prompt", "few_shot", str(folder), "--judge"])
    assert shown.exit_code == 0, shown.output
    assert "uncorrected: do not use" in shown.output
    assert "Rogan-Gladen" in shown.output
    assert "whether it errs alike on every arm" in shown.output
    assert "supports no verdict" in shown.output


def test_an_endpoint_that_goes_down_has_judged_nothing(against_people, monkeypatch):
    folder, server = against_people
    monkeypatch.setattr("tuneworthy.scorers.judge.AnswerStore.get", lambda *_: None)
    monkeypatch.setattr(server, "reply", lambda body: (403, {}, {"error": "no"}))
    found = judging.judge_pairs(folder, "prompt", "few_shot")
    assert found.n == 0
    assert found.unscored == {"transport": found.unscored["transport"]}
    assert "could not judge" in found.problem
    assert found.people is None
    shown = CliRunner().invoke(cli.app, ["compare", "prompt", "few_shot", str(folder), "--judge"])
    assert shown.exit_code == 4


def test_votes_on_these_very_pairs_correct_the_judge_without_an_assumption(against_people, tmp_path):
    folder, _ = against_people
    file, labels = tmp_path / "pairs.jsonl", folder / "suite" / "judged.jsonl"
    judging.blind_pairs(folder, "prompt", "few_shot", file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    key = {"A": "one", "B": "two", "tie": "tie"}
    for row in rows[:30]:
        row |= {"better": key[prefers_facts(f"<<<\n{row['one']}\n>>>\n<<<\n{row['two']}\n>>>")], "by": "ann"}
    labels.write_text(labels.read_text() + "".join(f"{json.dumps(row)}\n" for row in rows[:30]))
    judging.calibrate_judge(folder, None)
    found = judging.judge_pairs(folder, "prompt", "few_shot")
    assert (found.voted, found.n) == (30, len(rows))
    assert found.people is found.powered
    assert found.powered.method == "prediction-powered"
    assert found.powered.value == pytest.approx(found.by_judge.value, abs=0.02), "this judge sees what people see"


def test_a_judge_by_rubric_does_not_judge_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    folder = judged_folder(tmp_path / "replies", HONEST, metric="contains")
    judging.calibrate_judge(folder, None)
    with pytest.raises(JudgeNotCalibrated, match="not on pairs"):
        judging.judge_pairs(folder, "prompt", "few_shot")


def test_a_judge_with_a_bias_does_not_judge_pairs_and_one_outside_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    folder = judged_folder(tmp_path / "replies", {"": "A"}, mode="pairwise", metric="contains")
    judging.calibrate_judge(folder, None)
    with pytest.raises(JudgeNotCalibrated, match="may not carry the bar"):
        judging.judge_pairs(folder, "prompt", "few_shot")
    toml = folder / "usecase.toml"
    toml.write_text(
        toml.read_text().replace('base = "scripted"', 'base = "b"\nendpoint = "https://api.example.com/v1"')
    )
    with pytest.raises(PrivacyRefused):
        judging.judge_pairs(folder, "prompt", "few_shot")
    with pytest.raises(PrivacyRefused):
        judging.calibrate_judge(folder, None)
