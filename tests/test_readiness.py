"""The five prerequisites: what was found, what is missing, what to do next, and what a written reason does."""

import json
from collections import namedtuple

import pytest

from small import LABELS, USECASE, small_usecase
from tuneworthy import flow, readiness
from tuneworthy.cli import main
from tuneworthy.errors import DataError, SuiteChanged
from tuneworthy.ground import prepare
from tuneworthy.project import open_project

POCKET = USECASE.replace('"scripted"', '"pocket"')


@pytest.fixture
def gates(tmp_path):
    """name → gate of a small use case after a change of its text."""

    def gates(*change, examples=60, cases=40, locked=False, usecase=POCKET, **overrides):
        for old, new in change:
            assert old in usecase
            usecase = usecase.replace(old, new)
        usecase += "[override]\n" + "".join(f'{gate} = "{why}"\n' for gate, why in overrides.items())
        small_usecase(tmp_path, usecase=usecase, examples=examples, cases=cases)
        if locked:
            flow.lock_suite(tmp_path, again=False)
        return {gate.gate: gate for gate in flow.check(tmp_path)}

    return gates


def told(gate):
    return gate.state, gate.missing, gate.next


def test_the_use_case_passes_with_its_shape_and_bar_as_evidence(gates):
    gate = gates()["use_case"]
    assert told(gate) == ("passed", "", "")
    assert gate.found == (
        "input message → 3 labels; good enough at classification ≥ 0.75; a difference of 5 points matters"
    )


def test_a_use_case_without_a_description_fails(gates):
    gate = gates(('description = "Tenants\' messages go to one of three teams."\n', ""))["use_case"]
    assert (gate.state, gate.missing) == ("failed", "no description of the task")
    assert "description =" in gate.next


def test_documents_that_are_not_there_fail_the_use_case(gates, tmp_path):
    change = ("[model]", '[change]\nknowledge = "manuals"\n[model]')
    gate = gates(change)["use_case"]
    assert (gate.state, gate.missing) == ("failed", "the documents: there is no folder manuals")
    (tmp_path / "manuals").mkdir()
    assert gates(change)["use_case"].state == "passed"


@pytest.mark.parametrize(
    ("examples", "missing"), [(0, "200 more examples (at least 200)"), (60, "140 more examples (at least 200)")]
)
def test_too_few_examples(gates, examples, missing):
    gate = gates(examples=examples)["data"]
    assert (gate.state, gate.missing) == ("failed", missing)
    assert gate.next.startswith(f"collect {200 - examples} more rows")
    assert gate.found.startswith(f"{examples} usable examples")


def test_enough_examples(gates):
    gate = gates(examples=200)["data"]
    assert told(gate) == ("passed", "", "")
    assert gate.found.startswith("200 usable examples (0 exact duplicates and 0 that stand in the suite left out)")


def test_duplicates_and_leaks_do_not_count_as_examples(gates, tmp_path):
    gates(examples=200)
    path = tmp_path / "data" / "examples.jsonl"
    lines = path.read_text().splitlines()
    case = json.loads((tmp_path / "suite" / "cases.jsonl").read_text().splitlines()[0])
    leak = json.dumps({"input": case["input"], "expected": case["expected"]})
    path.write_text("\n".join([*lines[:-1], lines[0], leak]) + "\n")
    gate = {gate.gate: gate for gate in flow.check(tmp_path)}["data"]
    assert (gate.state, gate.missing) == ("failed", "1 more examples (at least 200)")
    assert "(1 exact duplicates and 1 that stand in the suite left out)" in gate.found


def test_examples_that_cannot_be_read_are_named(gates, tmp_path):
    gates(examples=200)
    path = tmp_path / "data" / "examples.jsonl"
    path.write_text(path.read_text() + '{"input": {"message": "x"}, "expected": "garden"}\n')
    gate = {gate.gate: gate for gate in flow.check(tmp_path)}["data"]
    assert (gate.state, gate.found) == ("failed", "the examples cannot be read")
    assert "examples.jsonl:201" in gate.missing
    assert "--skip-bad" in gate.next
    with pytest.raises(DataError):
        prepare(flow.open_project(tmp_path))


@pytest.mark.parametrize("cases", [0, 29])
def test_too_few_cases(gates, cases):
    gate = gates(cases=cases)["suite"]
    assert (gate.state, gate.found) == ("failed", f"{cases} cases")
    assert gate.missing == f"{30 - cases} more cases (at least 30)"
    assert "tuneworthy suite build" in gate.next


def test_an_unlocked_suite(gates):
    assert told(gates()["suite"]) == ("failed", "the lock", "run: tuneworthy suite lock")


def test_a_locked_suite(gates):
    gate = gates(locked=True)["suite"]
    assert told(gate) == ("passed", "", "")
    assert gate.found.startswith("40 cases, locked as ")


def test_a_suite_that_changed_since_it_was_locked_fails_its_gate_only(gates, tmp_path):
    gates(locked=True)
    path = tmp_path / "suite" / "cases.jsonl"
    path.write_text(path.read_text().replace("pipe", "pump", 1))
    found = {gate.gate: gate for gate in flow.check(tmp_path)}
    assert (found["suite"].state, found["suite"].found) == ("failed", "40 cases, not as they were locked")
    assert "case case-00 was edited: input" in found["suite"].missing
    assert "--again" in found["suite"].next
    assert found["use_case"].state == "passed"
    with pytest.raises(SuiteChanged, match="case case-00"):
        prepare(flow.open_project(tmp_path))


def test_cases_that_cannot_be_read_fail_their_gate_only(gates, tmp_path):
    gates()
    path = tmp_path / "suite" / "cases.jsonl"
    path.write_text(path.read_text() + "{\n")
    gate = {gate.gate: gate for gate in flow.check(tmp_path)}["suite"]
    assert (gate.state, gate.found) == ("failed", "unreadable cases")
    assert "cases.jsonl:41" in gate.missing
    with pytest.raises(DataError, match="cannot be used"):
        prepare(flow.open_project(tmp_path))


def test_hardware_that_suffices(gates):
    gate = gates()["hardware"]
    assert told(gate) == ("passed", "", "")
    assert "GB to train (estimate)" in gate.found


@pytest.mark.parametrize(
    ("base", "missing"),
    [
        ('"scripted"', "weights that can be trained here"),
        ('"gpt"\nendpoint = "http://localhost:1/v1"', "weights that can be trained here"),
        ('"./nowhere"', "there is no such folder"),
    ],
)
def test_a_model_that_cannot_be_trained_here(gates, base, missing):
    gate = gates(('"pocket"', base))["hardware"]
    assert (gate.state, gate.missing) == ("failed", missing)
    assert gate.next


JUDGE = """[judge]
rubric = "Right when the team is the one that has to act."
[judge.model]
base = "gpt"
endpoint = "https://judge.example/v1"
[budget]"""


def test_a_judge_outside_of_the_posture_closes_the_gate(gates):
    gate = gates(("[budget]", JUDGE))["hardware"]
    assert gate.state == "failed"
    assert "judge.model.endpoint names judge.example" in gate.found


def test_a_judge_outside_of_the_posture_stops_a_run_with_exit_3(tmp_path, monkeypatch, capsys):
    small_usecase(tmp_path, usecase=USECASE.replace("[budget]", JUDGE))
    monkeypatch.setattr("sys.argv", ["tuneworthy", "run", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "judge.example" in capsys.readouterr().err


def test_a_licence_that_forbids_the_use_closes_the_gate(gates, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n", "utf-8")
    gate = gates(('"pocket"', '"./m"'))["use_case"]
    assert gate.state == "failed"
    assert "CC BY-NC 4.0 allows no commercial use" in gate.missing


def test_too_little_memory(gates):
    gate = gates(("[budget]", "[hardware]\nmemory_gb = 0.1\n[budget]"))["hardware"]
    assert gate.state == "failed"
    assert gate.missing.endswith("GB of memory")
    assert "smaller base model" in gate.next


def test_discipline_and_a_full_disk(gates, monkeypatch):
    gate = gates()["discipline"]
    assert told(gate) == ("passed", "", "")
    assert "seed 0" in gate.found
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10e9, 9.5e9, 0.5e9))
    full = gates()["discipline"]
    assert told(full) == ("failed", "1 GB of free disk, of which 0.5 are there", "make room, or copy the folder")


def test_a_folder_that_cannot_be_written(gates, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert told(gates()["discipline"])[:2] == ("failed", "a folder that can be written")


def test_what_a_gate_found_does_not_change_with_the_free_disk(gates, monkeypatch):
    first = gates()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10e12, 1, 9e12))
    assert gates() == first


def test_a_written_reason_opens_the_gate_and_is_kept(gates):
    found = gates(data="we have no more rows this year", use_case="this one has passed anyway")
    assert (found["data"].state, found["data"].override) == ("overridden", "we have no more rows this year")
    assert found["data"].missing == "140 more examples (at least 200)"
    assert (found["use_case"].state, found["use_case"].override) == ("passed", "")
    assert readiness.refusal([found["data"], found["use_case"]]) == ""


def test_the_refusal_names_every_closed_gate(gates):
    told = readiness.refusal(list(gates().values()))
    assert told == ("the gate 'data' is closed: 140 more examples (at least 200); the gate 'suite' is closed: the lock")


def test_one_label_in_the_data_is_read(gates, tmp_path):
    gates(examples=30)
    path = tmp_path / "data" / "examples.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if LABELS[0] in line))
    assert {gate.gate: gate for gate in flow.check(tmp_path)}["data"].found.startswith("10 usable examples")


def test_the_generated_rows_are_not_near_each_other(tmp_path):
    ground = prepare(small_usecase(tmp_path))
    assert (len(ground.examples), len(ground.leaked), len(ground.cases)) == (60, 0, 40)


class TestDataFindings:
    def rows(self, tmp_path, change):
        path = tmp_path / "data" / "examples.jsonl"
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        change(lines)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        return {gate.gate: gate for gate in flow.check(tmp_path)}["data"]

    def test_what_was_not_judged_says_so_and_what_was_has_its_interval(self, gates, tmp_path):
        assert "wrong outputs not measured" in gates(examples=210)["data"].found
        names = [e.name for e in prepare(open_project(tmp_path)).examples[:100]]
        judged = [
            {"name": name, "where": "", "input": "", "output": "", "verdict": "wrong" if n < 6 else "right"}
            for n, name in enumerate(names)
        ]
        audit = tmp_path / "data" / "audit.jsonl"
        audit.write_text("".join(f"{json.dumps(row)}\n" for row in judged), "utf-8")
        gate = self.rows(tmp_path, lambda lines: None)
        assert gate.state == "passed"
        assert "6.0 % of the outputs are wrong (2.8 to 12.5 %, 100 random rows judged)" in gate.found
        audit.write_text('{"name": 1}\n', "utf-8")
        assert self.rows(tmp_path, lambda lines: None).state == "failed"

    def test_a_finding_that_forbids_training_closes_the_gate_and_a_reason_opens_it(self, gates, tmp_path):
        def contradict(lines):
            other = next(line for line in lines if line["expected"] != lines[0]["expected"])
            lines.append({**lines[0], "expected": other["expected"]})

        gates(examples=210)
        gate = self.rows(tmp_path, contradict)
        assert gate.state == "failed"
        assert gate.missing == "2 rows have the same input as another row and a different output"
        assert "data check" in gate.next
        assert (
            gates(examples=210, data="both answers are accepted by the team that reads them")["data"].state == "passed"
        )
        assert self.rows(tmp_path, contradict).state == "overridden"


class TestAnswersThatTheBaseCanNeverGive:
    @pytest.fixture(autouse=True)
    def _quick_files(self, monkeypatch):
        monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)

    TEXTS = USECASE.replace('kind = "label"\nlabels = ["plumbing", "power", "keys"]', 'kind = "text"').replace(
        'metric = "classification"', 'metric = "contains"'
    )

    def gate(self, tmp_path, reply, *, measure=True, more=""):
        """The gate `data` after `eval --probe unknown` with a base that replies the same to everything."""
        small_usecase(tmp_path, usecase=self.TEXTS + more, examples=210)
        (tmp_path / "scripted.json").write_text(json.dumps({"": reply}))
        if measure:
            watcher = type("Watcher", (), {"step": lambda *a: None, "lever": lambda *a: None})()
            flow.probe(tmp_path, "prompt", ["unknown"], watcher)
        return {gate.gate: gate for gate in flow.check(tmp_path)}["data"]

    def test_what_was_not_measured_says_so_with_the_command(self, tmp_path):
        gate = self.gate(tmp_path, "plumbing power keys", measure=False)
        assert gate.state == "passed"
        assert "can never give: not measured (tuneworthy eval --probe unknown)" in gate.found

    def test_a_base_that_can_give_them_passes(self, tmp_path):
        gate = self.gate(tmp_path, "plumbing power keys")
        assert gate.state == "passed"
        assert "the base never gave 0.0 % (0.0 to 3.7 %) of 100 training answers" in gate.found

    def test_above_a_quarter_the_gate_closes_a_reason_opens_it_and_documents_do(self, tmp_path):
        gate = self.gate(tmp_path, "plumbing")
        assert gate.state == "failed"
        assert "in 12 tries the base never gave" in gate.missing
        assert "retrieval" in gate.next
        assert "I do not know" in gate.next
        reason = '[override]\ndata = "the list of teams is closed and never changes"\n'
        assert self.gate(tmp_path, "plumbing", measure=False, more=reason).state == "overridden"
        (tmp_path / "manuals").mkdir()
        read = self.gate(tmp_path, "plumbing", measure=False, more='[change]\nknowledge = "manuals"\n')
        assert read.state == "passed"
        assert "the documents have to give them" in read.found

    def test_another_base_was_not_measured(self, tmp_path):
        self.gate(tmp_path, "plumbing")
        (tmp_path / "scripted.json").write_text('{"": "keys"}')
        assert "not measured" in {gate.gate: gate for gate in flow.check(tmp_path)}["data"].found
