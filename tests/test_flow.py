"""The whole method: levers, registration, openings, verdict, and what is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small import CLOSED, OVERRIDDEN, USECASE, asked, knowing, right, small_usecase
from tiny import tiny_model
from tuneworthy import flow, runs
from tuneworthy.answering import Answerer
from tuneworthy.errors import GateRefused, LogEdited, ModelError, SuiteChanged, TuneworthyError
from tuneworthy.ladder import LADDER, TRAINED, UNTRAINED
from tuneworthy.measure.compare import GainSplit
from tuneworthy.models.local.files import silent_peft, silent_transformers
from tuneworthy.models.scripted import Scripted
from tuneworthy.suite import openings
from tuneworthy.usecase import UseCase
from tuneworthy.verdict import ArmSummary, Evidence, decide

HALF = knowing(0.5, with_shots=0.8)


class Watcher:
    """A listener that remembers."""

    def __init__(self):
        self.states, self.arms = [], []

    def step(self, what, done, total):
        assert 0 <= done <= total

    def lever(self, name, state, text):
        self.states.append((name, state))

    def arm(self, report, comparison):
        self.arms.append((report.name, comparison.reference if comparison else None))


class Counted(Scripted):
    """A scripted model that counts what it is asked."""

    def complete(self, requests, on_done=None):
        self.asked.extend(asked(request) for request in requests)
        return super().complete(requests, on_done)


@pytest.fixture
def model(monkeypatch):
    """Put a model in the place of the base model; what it was asked is in `asked`."""

    def model(reply, **settings):
        scripted = Counted(reply, **settings)
        scripted.asked = []
        monkeypatch.setattr(flow, "open_model", lambda usecase, folder: scripted)
        return scripted

    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    return model


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "small"


def locked(folder, **settings):
    small_usecase(folder, **settings)
    flow.lock_suite(folder, again=False)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "small"
    locked(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "open_model", lambda usecase, folder: Scripted(HALF))
        patch.setattr(flow, "minilm_at_hand", lambda: False)
        return folder, flow.run(folder, Watcher())


@pytest.fixture
def finished(run_once, folder, model):
    """The record of a run; the folder is a copy of the one in which it ran."""
    shutil.copytree(run_once[0], folder)
    model(HALF)
    return run_once[1]


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def messages(folder, part="suite/cases"):
    return {line["input"]["message"] for line in lines(folder / f"{part}.jsonl")}


def decided_again(record):
    """The verdict that follows from what the record says was measured, and from nothing else."""
    measured = {arm.name: arm for arm in record.arms}
    arms = tuple(
        ArmSummary(
            lever=arm.lever,
            arm=arm.name,
            trained=arm.trained,
            interval=arm.interval,
            n=arm.n,
            unscored=arm.unscored,
            dev_score=arm.dev_score,
            cost_rank=LADDER.index(arm.lever),
        )
        for name in LADDER
        if (arm := measured.get(name))
    )
    evidence = Evidence(
        bar=UseCase.model_validate(record.usecase).bar,
        n_cases=len(record.cases),
        arms=arms,
        comparisons=record.comparisons,
        splits=tuple(GainSplit.model_validate(split) for split in record.splits.values()),
        gates={g.gate: "failed" if g.state == "overridden" else g.state for g in record.gates},
        overrides={g.gate: g.override for g in record.gates if g.state == "overridden"},
        not_tried=tuple(result for result in record.levers if result.state != "measured"),
    )
    return decide(evidence)


def scored_again(record, name):
    """Mean score of an arm from its recorded answers alone."""
    right_ones = [row.outputs[name].text == row.expected for row in record.cases]
    return sum(right_ones) / len(right_ones)


# --- one run --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "with_shots"), [(0.97, 0.97), (0.3, 0.99), (0.2, 0.4)])
def test_a_run_ends_with_the_verdict_that_its_own_record_gives(folder, model, share, with_shots):
    model(knowing(share, with_shots=with_shots))
    # a hard bar, so that the classifier does not settle everything
    locked(folder, usecase=USECASE.replace("at_least = 0.75", "at_least = 0.9"), examples=24)
    watcher = Watcher()
    record = flow.run(folder, watcher)
    there = folder / ".tuneworthy" / "runs" / record.run_id
    assert runs.load(there / "verdict.json") == record
    assert "<html" in (there / "report.html").read_text("utf-8")
    again = decided_again(record)
    assert again.decision == record.verdict.decision
    assert (again.lever, again.bar_met, again.reasons) == (
        record.verdict.lever,
        record.verdict.bar_met,
        record.verdict.reasons,
    )
    for arm in record.arms:
        assert arm.interval.value == pytest.approx(scored_again(record, arm.name))
    assert [name for name, _ in watcher.arms] == [arm.name for arm in record.arms]
    assert {name for name, _ in watcher.states} == set(LADDER)


def test_levers_that_train_are_not_tried_behind_closed_gates_and_say_why(folder, finished):
    record = finished
    found = {result.lever: result for result in record.levers}
    for lever in TRAINED:
        assert found[lever].state == "not_tried"
        assert "140 more examples" in found[lever].reason
        assert "weights that can be trained here" in found[lever].reason
    failed = {gate.gate for gate in record.gates if gate.state == "failed"}
    assert failed == set(CLOSED)


def test_without_weights_overridden_gates_do_not_help(folder, model):
    model(knowing(0.3))
    locked(folder, usecase=USECASE.replace("0.75", "0.99") + OVERRIDDEN, examples=24)
    record = flow.run(folder, Watcher())
    found = {result.lever: result for result in record.levers}
    assert (found["lora"].state, found["lora"].reason) == ("not_tried", "the weights of the base model are not here")
    assert "LoRA comes first" in found["full"].reason
    assert found["rag_lora"].state == "not_applicable"
    assert {gate.gate: gate.state for gate in record.gates}["data"] == "overridden"


def test_training_is_spared_where_a_cheaper_lever_meets_the_bar_unless_all_is_asked_for(folder, model):
    model(right)
    locked(folder, usecase=USECASE + OVERRIDDEN)
    spared = {r.lever: r.reason for r in flow.run(folder, Watcher()).levers}
    assert spared["lora"] == "prompt meets the bar at lower cost"
    tried = {r.lever: r.reason for r in flow.run(folder, Watcher(), everything=True).levers}
    assert tried["lora"] == "the weights of the base model are not here"


def test_the_same_again_gives_the_same_record_and_asks_nothing(folder, finished, model):
    scripted = model(HALF)
    again = flow.run(folder, Watcher())
    assert scripted.asked == []
    assert again.without_times() == finished.without_times()
    assert again.run_id != finished.run_id
    assert len(list((folder / ".tuneworthy" / "runs").iterdir())) == 2


def test_another_folder_gives_the_same_record(folder, finished, tmp_path):
    locked(tmp_path / "copy")
    assert flow.run(tmp_path / "copy", Watcher()).without_times() == finished.without_times()


# --- registration and openings --------------------------------------------------------------------


def test_what_is_compared_is_registered_before_the_first_opening(folder, model):
    project = small_usecase(folder)
    flow.lock_suite(folder, again=False)
    at_first_case = []
    cases = messages(folder)

    def reply(request):
        if asked(request) in cases and not at_first_case:
            at_first_case.append((lines(project.registrations_file), lines(project.openings_file)))
        return right(request)

    model(reply)
    record = flow.run(folder, Watcher())
    (registered, opened), *_ = at_first_case
    assert len(registered) == 1
    assert registered[0]["lock"] == record.suite.lock
    assert registered[0]["n"] == 40
    assert {f"{c.candidate} against {c.reference}" for c in record.comparisons} <= set(registered[0]["contrasts"])
    assert [look["arm"] for look in opened] == ["prompt"]  # the look is logged before the question is asked


def test_every_arm_is_opened_once_for_its_registered_contrast(folder, finished):
    flow.run(folder, Watcher())
    log = openings.read(folder / "suite" / "openings.jsonl")
    assert [look["arm"] for look in log] == [arm.name for arm in finished.arms]
    assert {look["arm_digest"] for look in log} == {arm.candidate for arm in finished.arms}
    assert not any(look["exploratory"] for look in log)
    registered = openings.read(folder / "suite" / "registrations.jsonl")
    assert len(registered) == 1
    contrasts = {look["arm"]: look["contrast"] for look in log}
    assert contrasts.pop("prompt") == "prompt, the reference"
    assert set(contrasts.values()) <= set(registered[0]["contrasts"])


def test_another_candidate_on_the_same_cases_is_exploratory(folder, finished):
    path = folder / "data" / "examples.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-5]) + "\n")
    record = flow.run(folder, Watcher())
    exploratory = {arm.name for arm in record.arms if arm.exploratory}
    assert "classifier" in exploratory
    assert "prompt" not in exploratory
    for comparison in record.comparisons:
        assert comparison.registered == (comparison.candidate not in exploratory)


def test_an_edited_log_of_openings_stops_the_run(folder, finished):
    log = folder / "suite" / "openings.jsonl"
    log.write_text(log.read_text().replace('"arm": "prompt"', '"arm": "promqt"', 1))
    with pytest.raises(LogEdited, match="edited"):
        flow.run(folder, Watcher())


# --- refused --------------------------------------------------------------------------------------


def test_a_case_that_changed_after_the_lock_stops_everything_and_is_named(folder, finished):
    path = folder / "suite" / "cases.jsonl"
    path.write_text(path.read_text().replace('"expected": "power"', '"expected": "keys"', 1))
    for verb in (
        lambda: flow.run(folder, Watcher()),
        lambda: flow.train(folder, "lora", Watcher()),
        lambda: flow.compare(folder, "prompt", "classifier"),
        lambda: flow.evaluate(folder, None, Watcher()),
    ):
        with pytest.raises(SuiteChanged, match="case case-01 was edited: expected") as refused:
            verb()
        assert refused.value.exit_code == 3
    assert "case case-01" not in flow.suite_status(folder).lock
    assert "1 thing changed" in flow.suite_status(folder).problem


def test_a_bar_that_changed_after_the_lock_stops_the_run(folder, model):
    model(right)
    locked(folder)
    (folder / "usecase.toml").write_text(USECASE.replace("0.75", "0.5"))
    with pytest.raises(SuiteChanged, match="at_least"):
        flow.run(folder, Watcher())


@pytest.mark.parametrize(("cases", "why"), [(29, "1 more cases"), (40, "the lock"), (0, "30 more cases")])
def test_training_without_a_locked_suite_is_refused_while_the_rest_is_measured(folder, model, cases, why):
    model(right)
    small_usecase(folder, cases=cases)
    with pytest.raises(GateRefused, match=why) as refused:
        flow.train(folder, "lora", Watcher())
    assert (refused.value.exit_code, refused.value.next) == (3, "run: tuneworthy check")
    record = flow.run(folder, Watcher())
    assert record.suite is None
    assert not (folder / "suite" / "openings.jsonl").exists()
    assert {arm.name for arm in record.arms} == {"prompt", "few_shot", "constrained", "classifier"}
    assert all(arm.exploratory and arm.n == cases for arm in record.arms)
    assert all(why in r.reason for r in record.levers if r.lever in TRAINED)
    if cases < 30:
        assert record.verdict.decision == "undecided"
        assert not record.verdict.bar_met


def test_training_something_else_is_refused(folder, model):
    model(right)
    small_usecase(folder)
    with pytest.raises(TuneworthyError, match="'prompt' does not train; known: lora, rag_lora, full"):
        flow.train(folder, "prompt", Watcher())


def test_the_mask_without_weights_or_without_a_prompt(folder, model):
    model(right)
    small_usecase(folder)
    with pytest.raises(ModelError, match="weights of the base model are not here"):
        flow.loss_mask(folder, "lora", Watcher())
    with pytest.raises(TuneworthyError, match="rag_lora builds on rag: the use case needs no documents"):
        flow.loss_mask(folder, "rag_lora", Watcher())


def test_the_mask_when_the_model_does_not_answer(folder, model):
    model(right, failing={"": "transport"})
    small_usecase(folder)
    with pytest.raises(TuneworthyError, match="lora builds on prompt: no answer could be scored: transport"):
        flow.loss_mask(folder, "lora", Watcher())


# --- little or nothing ----------------------------------------------------------------------------


def test_no_cases_at_all_is_undecided_and_nothing_counts_as_zero(folder, model):
    model(right)
    small_usecase(folder, cases=0)
    record = flow.run(folder, Watcher())
    assert record.verdict.decision == "undecided"
    for arm in record.arms:
        assert (arm.interval, arm.n, arm.tokens_in, arm.tokens_out, arm.seconds) == (None, 0, None, None, None)


def test_no_examples_at_all(folder, model):
    model(right)
    locked(folder, examples=0)
    record = flow.run(folder, Watcher())
    found = {r.lever: (r.state, r.dev_score) for r in record.levers}
    assert found["prompt"] == found["constrained"] == ("measured", None)
    assert found["few_shot"][0] == found["classifier"][0] == "not_applicable"
    assert (record.data.version, record.data.rows) == ("", 0)
    assert record.verdict.lever == "prompt"
    assert decided_again(record).reasons == record.verdict.reasons


def test_a_model_that_never_answers_gives_no_score(folder, model):
    model(right, failing={"": "transport"})
    text = USECASE.replace('kind = "label"\nlabels = ["plumbing", "power", "keys"]', 'kind = "text"')
    locked(folder, usecase=text.replace("classification", "exact"))
    record = flow.run(folder, Watcher())
    assert record.verdict.decision == "undecided"
    assert record.arms == ()
    assert {r.lever: r.state for r in record.levers}["prompt"] == "failed"
    assert "transport" in {r.lever: r.reason for r in record.levers}["prompt"]


def test_a_model_that_fails_on_the_locked_cases_gives_no_score(folder, model):
    small_usecase(folder)
    cases = messages(folder)
    scripted = model(right, failing=dict.fromkeys(cases, "timeout"))
    text = USECASE.replace('kind = "label"\nlabels = ["plumbing", "power", "keys"]', 'kind = "text"')
    locked(folder, usecase=text.replace("classification", "exact"))
    record = flow.run(folder, Watcher())
    assert record.verdict.decision == "undecided"
    for arm in record.arms:
        assert (arm.interval, arm.n, arm.unscored) == (None, 0, 40)
        assert (arm.tokens_in, arm.seconds) == (None, None)
    assert all(output.score is None for row in record.cases for output in row.outputs.values())
    before = len(scripted.asked)
    flow.run(folder, Watcher())
    assert set(scripted.asked[before:]) == cases  # failures are asked again, answers are not


def test_a_model_that_fails_on_some_cases_cannot_carry_a_verdict(folder, model):
    small_usecase(folder)
    model(right, failing=dict.fromkeys(sorted(messages(folder))[:6], "timeout"))
    locked(folder)
    record = flow.run(folder, Watcher())
    assert record.verdict.decision == "undecided"
    assert {arm.unscored for arm in record.arms if arm.lever != "classifier"} == {6}


# --- eval -----------------------------------------------------------------------------------------


def test_eval_opens_no_locked_case(folder, model):
    scripted = model(right)
    locked(folder)
    results = flow.evaluate(folder, None, Watcher())
    assert [r.lever for r in results] == list(UNTRAINED)
    assert set(scripted.asked).isdisjoint(messages(folder))
    assert set(scripted.asked) <= messages(folder, "data/examples")
    assert not (folder / "suite" / "openings.jsonl").exists()
    assert not (folder / "suite" / "registrations.jsonl").exists()


def test_eval_of_one_lever_tries_what_it_builds_on(folder, model):
    model(right)
    small_usecase(folder)
    watcher = Watcher()
    assert [r.lever for r in flow.evaluate(folder, ["constrained"], watcher)] == ["constrained"]
    assert [name for name, state in watcher.states if state == "trying"] == ["prompt", "few_shot", "constrained"]


@pytest.mark.parametrize(("lever", "then"), [("lora", "tuneworthy train --lever lora"), ("pormpt", "correct the name")])
def test_eval_of_something_else(folder, model, lever, then):
    small_usecase(folder)
    with pytest.raises(TuneworthyError, match="known: prompt, few_shot") as refused:
        flow.evaluate(folder, [lever], Watcher())
    assert then in refused.value.next


# --- compare and report ---------------------------------------------------------------------------


def test_compare_gives_the_registered_comparison_or_an_exploratory_one(folder, finished):
    registered = finished.comparisons[0]
    assert flow.compare(folder, registered.reference, registered.candidate) == registered
    turned = flow.compare(folder, registered.candidate, registered.reference)
    assert (turned.registered, turned.wins, turned.losses) == (False, registered.losses, registered.wins)
    with pytest.raises(TuneworthyError, match="no arm called 'lora'"):
        flow.compare(folder, "prompt", "lora")


def test_compare_after_a_new_lock_is_refused(folder, finished):
    (folder / "usecase.toml").write_text(USECASE.replace("0.75", "0.5"))
    flow.lock_suite(folder, again=True)
    with pytest.raises(SuiteChanged, match="measured another suite") as refused:
        flow.compare(folder, "prompt", "classifier")
    assert refused.value.next == "run: tuneworthy run"


def test_without_a_run_there_is_nothing_to_compare_or_report(folder):
    small_usecase(folder)
    for verb in (lambda: flow.compare(folder, "prompt", "rag"), lambda: flow.report(folder, "")):
        with pytest.raises(TuneworthyError, match="there is no run yet"):
            verb()


def test_the_report_goes_where_it_is_wanted(folder, finished, tmp_path):
    out = flow.report(folder, str(tmp_path / "deep" / "report.html"))
    assert Path(out).read_text("utf-8") == (folder / ".tuneworthy/runs" / finished.run_id / "report.html").read_text(
        "utf-8"
    )


# --- the suite ------------------------------------------------------------------------------------


def test_a_suite_is_drawn_from_the_examples_and_leaves_them(folder, model):
    model(right)
    small_usecase(folder, cases=0, examples=90)
    assert flow.build_suite(folder, cases=40, source=None).cases == 40
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Watcher())
    assert (record.suite.cases, record.data.rows, len(record.data.leaks)) == (40, 50, 40)
    with pytest.raises(SuiteChanged, match="the suite is locked"):
        flow.build_suite(folder, cases=40, source=None)


def test_a_suite_without_examples_to_draw_from(folder):
    small_usecase(folder, cases=0, examples=0)
    with pytest.raises(TuneworthyError, match="no examples to draw cases from"):
        flow.build_suite(folder, cases=40, source=None)


# --- killed ---------------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_flow import HALF, Watcher
from tuneworthy import flow
from tuneworthy.models.scripted import Scripted

def slow(request):
    time.sleep(0.02)
    return HALF(request)

if sys.argv[2] == "scripted":
    flow.open_model = lambda usecase, folder: Scripted(slow)
flow.minilm_at_hand = lambda: False
flow.run(Path(sys.argv[1]), Watcher())
"""


def killed(folder, model, when):
    """`run` in another process, killed with -9 as soon as `when` is true."""
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", script, str(folder), model])
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not list((folder / ".tuneworthy").glob("runs/*/verdict.json"))


def kept(folder):
    """Answers kept so far, by candidate."""
    return [len(lines_) for path in (folder / ".tuneworthy/answers").glob("*.jsonl") if (lines_ := path.read_bytes())]


@pytest.mark.parametrize("stage", [pytest.param("development", marks=pytest.mark.slow), "locked"])
def test_killed_while_it_measures_the_same_command_gives_the_same_verdict(folder, run_once, model, stage):
    locked(folder)
    log = folder / "suite" / "openings.jsonl"
    killed(folder, "scripted", lambda: len(kept(folder)) >= 4 if stage == "development" else log.exists())
    scripted = model(HALF)
    record = flow.run(folder, Watcher())
    assert record.without_times() == run_once[1].without_times()
    assert runs.load(folder / ".tuneworthy/runs" / record.run_id / "verdict.json") == record
    assert 0 < len(scripted.asked) < 700


# --- trained --------------------------------------------------------------------------------------

TRAINABLE = (
    USECASE.replace('"scripted"', '"./base"')
    .replace("at_least = 0.75", "at_least = 0.99")
    .replace("dev_calls = 60", "dev_calls = 30\nseeds = 1")
    + '[override]\ndata = "this is only a test"\n'
)


@pytest.fixture(scope="module")
def trainable(tmp_path_factory):
    """A use case on a tiny random model, locked; to be copied."""
    folder = tmp_path_factory.mktemp("trainable") / "small"
    locked(folder, usecase=TRAINABLE, cases=30, examples=40)
    tiny_model(folder / "base")
    return folder


@pytest.fixture
def on_weights(trainable, folder, monkeypatch):
    shutil.copytree(trainable, folder)
    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    return folder


@pytest.mark.slow
def test_an_adapter_answers_identically_in_plain_peft(on_weights, monkeypatch):
    ladders = []
    climb = flow.climb_without_training
    monkeypatch.setattr(flow, "climb_without_training", lambda *ground: ladders.append(climb(*ground)) or ladders[-1])
    result = flow.train(on_weights, "lora", Watcher())
    assert result.state == "measured"
    assert result.dev_score > 0
    bench, ground = ladders[0].bench, ladders[0].ground
    candidate = bench.found["lora"]
    answerer = Answerer(candidate, bench.sources)
    ours = [answer.text for answer in answerer.answer([case.input for case in ground.cases])]
    base = Answerer(bench.found["prompt"], bench.sources).answer([case.input for case in ground.cases])
    assert ours != [answer.text for answer in base]

    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with silent_transformers(), silent_peft():
        network = AutoModelForCausalLM.from_pretrained(on_weights / "base", dtype=torch.float32)
        network = PeftModel.from_pretrained(network, on_weights / candidate.adapter.path).eval()
        tokenizer = AutoTokenizer.from_pretrained(on_weights / candidate.adapter.path)
    plain = []
    for case in ground.cases:
        turns = [message.model_dump() for message in answerer.messages(case.input)]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        with torch.no_grad():
            out = network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=candidate.decoding.max_tokens,
            )
        plain.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip())
    assert plain == [text.strip() for text in ours]


@pytest.mark.slow
def test_a_verdict_on_a_trained_lever_follows_from_the_record_and_repeats(on_weights):
    flow.train(on_weights, "lora", Watcher())
    record = flow.run(on_weights, Watcher())
    assert next(arm for arm in record.arms if arm.name == "lora").trained
    assert record.retention["lora"]["n"] > 0
    again = decided_again(record)
    assert (again.decision, again.lever, again.bar_met) == (
        record.verdict.decision,
        record.verdict.lever,
        record.verdict.bar_met,
    )
    assert [look["arm"] for look in record.openings] == [arm.name for arm in record.arms]
    assert flow.run(on_weights, Watcher()).without_times() == record.without_times()


@pytest.mark.slow
def test_killed_while_it_trains_the_same_command_gives_the_same_verdict(on_weights, trainable, tmp_path):
    whole = flow.run(on_weights, Watcher()).without_times()
    on_weights.rename(tmp_path / "whole")
    shutil.copytree(trainable, on_weights)
    killed(on_weights, "local", lambda: list((on_weights / ".tuneworthy").glob("adapters/*/checkpoints/checkpoint-*")))
    record = flow.run(on_weights, Watcher()).without_times()
    assert {part for part in whole if record[part] != whole[part]} == set()


@pytest.mark.slow
def test_the_run_after_the_one_that_trained_repeats_it(on_weights):
    first = flow.run(on_weights, Watcher())
    assert flow.run(on_weights, Watcher()).without_times() == first.without_times()


@pytest.mark.slow
def test_a_fresh_copy_trains_the_same_candidate(on_weights, tmp_path):
    flow.run(on_weights, Watcher())
    shutil.copytree(on_weights, tmp_path / "copy", ignore=shutil.ignore_patterns(".tuneworthy"))
    assert not any(arm.exploratory for arm in flow.run(tmp_path / "copy", Watcher()).arms)
