"""The command line: exit codes, messages without tracebacks, one JSON document for machines."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from small import knowing, right, row, small_usecase
from tuneworthy import cli, flow
from tuneworthy.models.scripted import Scripted
from tuneworthy.printing import verdict
from tuneworthy.records import Comparison, Interval

VERBS = "init check data suite run eval train compare report".split()


@pytest.fixture
def tuneworthy(monkeypatch, capsys):
    """Run a command; (exit code, standard output, standard error)."""

    def tuneworthy(*words):
        monkeypatch.setattr(sys, "argv", ["tuneworthy", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return ended.value.code or 0, told.out, told.err

    return tuneworthy


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A locked small use case; `answers(reply)` changes what the model says."""
    small_usecase(tmp_path / "small")
    flow.lock_suite(tmp_path / "small", again=False)
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(right))
    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    return tmp_path / "small"


def python(*words, **settings):
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "100"},
        **settings,
    )


# --- help -----------------------------------------------------------------------------------------


def test_help_is_quick_and_loads_nothing_heavy():
    script = (
        "import runpy, sys; sys.argv = ['tuneworthy', '--help']\n"
        "try: runpy.run_module('tuneworthy', run_name='__main__')\n"
        "finally: print('heavy:', sorted({'torch', 'transformers', 'numpy', 'sklearn', 'pydantic'} & set(sys.modules)))"
    )
    began = time.monotonic()
    done = python("-c", script)
    seconds = time.monotonic() - began
    assert "heavy: []" in done.stdout, done.stderr
    assert seconds < 5  # 0.3 s on a quiet machine


def test_help_lists_the_verbs_in_the_order_in_which_they_are_needed(tuneworthy):
    code, told, _ = tuneworthy("--help")
    places = [told.index(f" {verb} ") for verb in VERBS]
    assert (code, places) == (0, sorted(places))


def test_module_and_script_are_the_same(tmp_path):
    for words in (["-m", "tuneworthy"], [os.path.join(os.path.dirname(sys.executable), "tuneworthy")]):
        done = python(*words, "check", str(tmp_path / "nowhere"))
        assert done.returncode == 1
        assert "there is no usecase.toml" in done.stderr
        assert (done.stdout, "Traceback" in done.stderr) == ("", False)


# --- exit codes -----------------------------------------------------------------------------------


def test_0_the_bar_is_met(tuneworthy, folder):
    code, told, _ = tuneworthy("run", folder)
    assert code == 0
    assert "DO NOT TUNE" in told
    assert f"Next: tuneworthy report {folder}" in told


def test_1_an_error_says_where_what_and_what_next(tuneworthy, tmp_path):
    (tmp_path / "usecase.toml").write_text("name = 3\n")
    code, told, error = tuneworthy("run", tmp_path)
    assert (code, told) == (1, "")
    assert error.startswith(str(tmp_path / "usecase.toml"))
    assert "· name = 3:" in error
    assert "\nNext: " in error


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["init"],
        ["init", "x", "--template", "nonsense"],
        ["data", "import", "file.jsonl", "--map", "nonsense"],
        ["data", "import", "file.jsonl", "--map", "=column"],
        ["suite", "build", "--cases", "0"],
        ["suite", "build", "--cases", "many"],
        ["compare", "prompt"],
    ],
)
def test_2_wrong_usage(tuneworthy, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told, error = tuneworthy(*words)
    assert (code, told) == (2, "")
    assert error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["data"], ["suite"]])
def test_a_bare_group_prints_its_help(tuneworthy, words):
    code, told, error = tuneworthy(*words)
    assert "Usage" in told + error
    assert code in (0, 2)


def test_3_a_gate_is_closed(tuneworthy, folder):
    code, told, _ = tuneworthy("check", folder)
    assert code == 3
    assert "140 more examples" in told
    assert f"Next: tuneworthy run {folder}" in told
    code, told, error = tuneworthy("train", folder)
    assert (code, told) == (3, "")
    assert "training is refused" in error
    assert "Next: run: tuneworthy check" in error


def test_3_a_changed_suite(tuneworthy, folder):
    path = folder / "suite" / "cases.jsonl"
    path.write_text(path.read_text().replace("pipe", "pump", 1))
    for verb in ("run", "eval", "train"):
        code, told, error = tuneworthy(verb, folder)
        assert (code, told) == (3, "")
        assert "case case-00 was edited: input" in error
    code, told, _ = tuneworthy("check", folder)
    assert code == 3
    assert "case case-00 was edited: input" in told


def test_4_undecided(tuneworthy, folder, monkeypatch):
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(right, failing={"pipe": "timeout"}))
    code, told, _ = tuneworthy("run", folder)
    assert code == 4
    assert "UNDECIDED" in told


def test_compare_says_better_worse_or_unknown(tuneworthy, folder, monkeypatch):
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(knowing(0.3, with_shots=0.3)))
    tuneworthy("run", folder)
    assert tuneworthy("compare", "prompt", "classifier", folder)[0] == 0
    assert tuneworthy("compare", "classifier", "prompt", folder)[0] == 3
    code, told, _ = tuneworthy("compare", "prompt", "few_shot", folder)
    assert code == 4
    assert "0 cases better, 0 worse" in told
    assert tuneworthy("compare", "prompt", "lora", folder)[0] == 1


@pytest.mark.parametrize(("level", "p", "code"), [(0.95, 0.04, 0), (0.95, 0.2, 4), (0.6, 0.2, 0), (0.99, 0.04, 4)])
def test_compare_keeps_the_alpha_of_the_use_case(level, p, code):
    limits = Interval(value=0.1, low=0.05, high=0.2, level=level)
    found = Comparison(
        reference="a", candidate="b", n=40, difference=limits, p=p, test="", wins=5, losses=1, dropped=0, worst_case=0.1
    )
    assert verdict.comparison(found, as_json=False) == code


def test_a_busy_folder_is_an_error_that_names_the_owner(tuneworthy, folder):
    with flow.open_project(folder).busy("run"):
        code, told, error = tuneworthy("eval", folder)
    assert (code, told) == (1, "")
    assert f'"pid": {os.getpid()}' in error
    assert "Next: wait for it" in error


def test_ctrl_c_says_that_the_same_command_continues(tuneworthy, folder, monkeypatch):
    def stopped(request):
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(stopped))
    code, _, error = tuneworthy("run", folder)
    assert code == 130
    assert "the same command continues" in error


def test_ctrl_c_from_a_terminal(tmp_path):
    folder = tmp_path / "small"
    small_usecase(folder)
    (folder / "scripted.json").write_text("{}")
    script = (
        "import sys, time; from tuneworthy import cli, flow\n"
        "flow.open_bench = lambda *_: (print('begun', file=sys.stderr, flush=True), time.sleep(60))\n"
        "cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    told, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in error
    assert "Traceback" not in error + told


# --- for machines ---------------------------------------------------------------------------------


def document(told):
    """The one JSON document on standard output."""
    assert told.endswith("\n")
    assert told.count("\n") == 1
    return json.loads(told)


def test_every_verb_gives_one_json_document_and_its_text_on_standard_error(tuneworthy, folder, tmp_path):
    rows = tmp_path / "rows.jsonl"
    draw = random.Random(1)
    rows.write_text("".join(json.dumps(row(draw, "power")) + "\n" for _ in range(40)))
    other = tmp_path / "other"
    commands = [
        (["init", other], 0, "files"),
        (["check", folder], 3, None),
        (["suite", "status", folder], 0, "cases"),
        (["suite", "lock", folder], 0, "lock"),
        (["eval", folder, "--lever", "prompt"], 0, None),
        (["run", folder], 0, "verdict"),
        (["compare", "prompt", "classifier", folder], 4, "difference"),
        (["report", folder, "--out", tmp_path / "r.html"], 0, "report"),
    ]
    for words, code, key in commands:
        found, told, error = tuneworthy(*words, "--json")
        assert found == code, words
        value = document(told)
        assert value if key is None else key in value
        assert error.strip(), words
    small_usecase(tmp_path / "third", cases=0, examples=0)
    found, told, error = tuneworthy("data", "import", rows, tmp_path / "third", "--json")
    assert (found, document(told)["examples"]) == (0, 40)
    assert "40 examples" in error
    found, told, error = tuneworthy("suite", "build", tmp_path / "third", "--cases", "30", "--json")
    assert (found, document(told)["cases"]) == (0, 30)


def test_json_of_an_undecided_run(tuneworthy, folder, monkeypatch):
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(right, failing={"": "transport"}))
    (folder / "data" / "examples.jsonl").unlink()
    code, told, error = tuneworthy("run", folder, "--json")
    record = document(told)
    assert (code, record["verdict"]["decision"]) == (4, "undecided")
    assert record["arms"] == [] or all(arm["interval"] is None for arm in record["arms"])
    assert "UNDECIDED" in error


def test_an_error_prints_no_json(tuneworthy, tmp_path):
    code, told, error = tuneworthy("run", tmp_path, "--json")
    assert (code, told) == (1, "")
    assert "Next:" in error


def test_an_unmeasured_arm_is_not_called_without_spread(tuneworthy, folder, monkeypatch):
    lines = (folder / "suite" / "cases.jsonl").read_text().splitlines()
    failing = {json.loads(line)["input"]["message"]: "timeout" for line in lines}
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(right, failing=failing))
    code, told, _ = tuneworthy("run", folder)
    prompt = next(line for line in told.splitlines() if line.startswith("prompt "))
    assert "not measured" in prompt
    assert "40 unscored" in prompt
    assert "no spread" not in prompt
    assert code in (0, 4)


# --- more of what people see ----------------------------------------------------------------------


def test_a_folder_with_a_space_can_be_pasted(tuneworthy, tmp_path):
    small_usecase(tmp_path / "my case")
    _, told, _ = tuneworthy("check", tmp_path / "my case")
    assert f"Next: tuneworthy run '{tmp_path / 'my case'}'" in told


def test_a_map_to_a_column_that_is_not_there(tuneworthy, tmp_path, folder):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nhello there,keys\n")
    code, told, error = tuneworthy(
        "data", "import", path, folder, "--map", "input.message=body", "--map", "expected=label"
    )
    assert (code, told) == (1, "")
    assert "body" in error
    assert "Next:" in error


def test_explain_prints_every_key(tuneworthy):
    code, told, error = tuneworthy("init", "--explain")
    assert (code, error) == (0, "")
    assert "[bar]" in told


def test_init_and_then_what_it_says(tuneworthy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told, _ = tuneworthy("init", "my-case", "--template", "style")
    assert code == 0
    assert "Next: tuneworthy check my-case" in told
    assert tuneworthy("check", "my-case")[0] == 3
    assert tuneworthy("init", "my-case")[0] == 1
