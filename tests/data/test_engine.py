"""Repairs are on record, undone by one command, and survive a kill at any moment."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tuneworthy import cli
from tuneworthy.data import decisions, diff, engine, export, fix, version
from tuneworthy.data.read import read_examples
from tuneworthy.errors import DataError, TuneworthyError
from tuneworthy.project import open_project
from tuneworthy.records import Example, Provenance

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

USECASE = """
name = "bookings"
instruction = "Say when and where."
[input.text]
[output]
kind = "json"
[output.schema]
type = "object"
[bar]
metric = "fields"
at_least = 0.8
smallest_difference = 0.05
"""


def row(number, **more):
    dice = random.Random(number)
    text = " ".join("".join(dice.choices("bdfgklmnaeiou", k=6)) for _ in range(8))
    return {"input": {"text": text}, "expected": {"queue": "Card", "order": number, **more}}


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path / "bookings", [row(number) for number in range(12)])


def make(folder, rows):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "usecase.toml").write_text(USECASE, "utf-8")
    (folder / "data" / "examples.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows), "utf-8")
    return folder


def rows_of(folder):
    path = folder / "data" / "examples.jsonl"
    return [(e.input, e.expected) for e in read_examples(path, open_project(folder).usecase).examples]


DIRTY = {
    "exact_duplicates": [row(1)],
    "trim": [row(20, queue=" Card ")],
    "encoding": [row(21, place="cafÃ©")],
    "spelling": [row(22, queue="card")],
    "key_order": [{"input": row(23)["input"], "expected": {"order": 1, "queue": "Card"}}],
}
MENDED = {
    "trim": {"queue": "Card", "order": 20},
    "encoding": {"queue": "Card", "order": 21, "place": "café"},
    "spelling": {"queue": "Card", "order": 22},
    "key_order": {"queue": "Card", "order": 1},
}


class TestFix:
    @pytest.mark.parametrize("rule", DIRTY)
    def test_a_rule_mends_what_it_names_and_undo_brings_it_back(self, tmp_path, rule):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY[rule] + [row(30)])
        before = rows_of(folder)
        found = engine.repair(folder, rule=rule, why="as agreed")
        assert found.decision.rows == 1
        after = rows_of(folder)
        if rule in MENDED:
            assert json.dumps(after[12][1]) == json.dumps(MENDED[rule])
            assert after[:12] + after[13:] == before[:12] + before[13:]
        else:
            assert after == before[:12] + before[13:]
        assert engine.repair(folder, rule=rule).decision is None
        engine.undo(folder)
        assert json.dumps(rows_of(folder)) == json.dumps(before)
        log = decisions.read(folder / "data" / "decisions.jsonl")
        assert [(entry.rule, bool(entry.undoes)) for entry in log] == [(rule, False), (rule, True)]
        assert log[0].why == "as agreed"
        assert log[0].who
        with pytest.raises(DataError):
            engine.undo(folder)

    def test_leaks_are_left_out(self, folder):
        (folder / "suite").mkdir()
        case = {"id": "a", **row(3)}
        (folder / "suite" / "cases.jsonl").write_text(f"{json.dumps(case)}\n", "utf-8")
        engine.repair(folder, rule="leaks")
        assert len(rows_of(folder)) == 11

    def test_rows_are_dropped_by_name_and_an_unknown_one_is_refused(self, folder):
        name = Example.model_validate(row(4)).name
        with pytest.raises(DataError, match="no row is called"):
            engine.repair(folder, drop=["feedfeedfeed"])
        engine.repair(folder, drop=[name[:8]])
        assert len(rows_of(folder)) == 11

    def test_what_a_person_judged_is_taken_over(self, folder):
        engine.check(folder, quick=True, review=True)
        path = folder / "data" / "audit.jsonl"
        judged = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        judged[0] |= {"verdict": "wrong", "instead": {"queue": "Cash"}}
        judged[1] |= {"verdict": "right"}
        path.write_text("".join(f"{json.dumps(r)}\n" for r in judged), "utf-8")
        report = engine.check(folder, quick=True, review=True).report  # keeps a file with verdicts
        assert "50.0 % of the outputs are wrong" in {f.kind: f for f in report.findings}["noise_rate"].what
        engine.repair(folder, reviewed=True)
        assert sum(expected == {"queue": "Cash"} for _, expected in rows_of(folder)) == 1

    def test_a_dry_run_writes_nothing(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["trim"])
        before = sorted(path for path in folder.rglob("*") if path.name != "lock")
        assert engine.repair(folder, rule="trim", dry=True).decision.rows == 1
        assert sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock") == [
            path for path in before if path.is_file()
        ]

    def test_a_source_is_never_changed(self, tmp_path):
        folder = make(tmp_path / "u", [row(1)])
        (folder / "data" / "examples.jsonl").rename(folder / "data" / "examples.json")
        with pytest.raises(DataError, match="sources are never changed"):
            engine.repair(folder, rule="trim")

    def test_rows_edited_by_hand_are_not_overwritten_by_undo(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["trim"])
        engine.repair(folder, rule="trim")
        with (folder / "data" / "examples.jsonl").open("a") as file:
            file.write(json.dumps(row(99)) + "\n")
        with pytest.raises(DataError, match="by other means"):
            engine.undo(folder)

    @pytest.mark.parametrize("asked", [{}, {"rule": "trim", "reviewed": True}, {"rule": "polish"}])
    def test_wrong_use_says_what_is_known(self, folder, asked):
        with pytest.raises(TuneworthyError) as error:
            engine.repair(folder, **asked)
        assert error.value.next


class Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("rule", ["exact_duplicates", "spelling"])
def test_a_kill_at_any_write_loses_no_row_and_the_same_command_ends_it(tmp_path, monkeypatch, rule):
    points = 0
    while True:
        folder = make(tmp_path / f"{rule}-{points}", [row(n) for n in range(12)] + DIRTY[rule])
        before = rows_of(folder)
        left = points

        def count(real):
            def write(*args, **kwargs):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return real(*args, **kwargs)

            return write

        with monkeypatch.context() as patch:
            patch.setattr("tuneworthy.data.version.write_whole", count(version.write_whole))
            patch.setattr("tuneworthy.data.engine.write_whole", count(engine.write_whole))
            patch.setattr("tuneworthy.data.decisions.append_line", count(decisions.append_line))
            try:
                engine.repair(folder, rule=rule)
            except Killed:
                assert rows_of(folder) == before
            else:
                break
        engine.repair(folder, rule=rule)
        done = rows_of(folder)
        assert engine.repair(folder, rule=rule).decision is None
        engine.undo(folder)
        assert rows_of(folder) == before != done
        points += 1
    assert points >= 3


def test_a_torn_line_of_the_log_is_no_entry(folder):
    engine.repair(folder, drop=[Example.model_validate(row(4)).name])
    path = folder / "data" / "decisions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    engine.repair(folder, drop=[Example.model_validate(row(5)).name])
    assert [entry.rule for entry in decisions.read(path)] == ["drop", "drop"]


class TestRedact:
    def test_there_and_back_with_the_key_and_nothing_in_the_log(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(4)] + [row(5, mail="jane.roe@example.org")])
        before, key = rows_of(folder), tmp_path / "key.json"
        engine.redact_data(folder, key=key)
        everything = "".join(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())
        assert "jane.roe" not in everything
        assert key.stat().st_mode & 0o077 == 0
        with pytest.raises(DataError, match="redaction"):
            engine.undo(folder)
        engine.redact_data(folder, key=key, restore=True)
        assert rows_of(folder) == before

    def test_files_that_still_hold_a_value_are_named(self, tmp_path):
        folder = make(tmp_path / "u", [row(1), row(5, mail=" jane.roe@example.org")])
        engine.repair(folder, rule="trim")
        kept = {path.name for path in engine.redact_data(folder, key=None).kept}
        assert "decisions.jsonl" in kept
        assert len(kept) == 3

    def test_the_key_must_lie_elsewhere(self, folder):
        with pytest.raises(TuneworthyError, match="lies in the use-case folder"):
            engine.redact_data(folder, key=folder / "key.json")
        with pytest.raises(TuneworthyError, match="only the key file"):
            engine.redact_data(folder, key=None, restore=True)


def test_a_statement_tells_what_was_measured_and_what_was_not(folder):
    engine.repair(folder, drop=[Example.model_validate(row(4)).name], why="a test row")
    text = engine.write_statement(folder, None).read_text("utf-8")
    for wanted in ("examples | 11", "not measured: no random sample", "a test row", "licence", "Not looked for: names"):
        assert wanted in text


class TestVersions:
    def test_every_fix_is_a_version_and_the_log_says_how(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["trim"])
        engine.repair(folder, rule="trim")
        found = engine.versions(folder)
        assert [info.dataset.rows for info in found] == [13, 13]
        (now,) = [info for info in found if info.current]
        assert now.how.startswith("trim by")

    def test_versions_and_runs_that_hold_a_row_under_any_of_its_names(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["trim"])
        engine.repair(folder, rule="trim")
        mended = Example.model_validate({**row(20), "expected": MENDED["trim"]}).name
        engine.repair(folder, drop=[mended])
        first, second, last = engine.versions(folder)
        run = folder / ".tuneworthy" / "runs" / "r1"
        run.mkdir(parents=True)
        (run / "verdict.json").write_text(json.dumps({"data": {"version": second.dataset.version}}), "utf-8")
        held = engine.versions(folder, row=mended[:10])
        assert {info.dataset.version for info in held} == {first.dataset.version, second.dataset.version}
        assert [info.runs for info in held if info.runs] == [("r1",)]
        assert last.current
        with pytest.raises(DataError, match="no version holds the row"):
            engine.versions(folder, row="zz")

    def test_a_difference_by_row_and_field(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["spelling"] + [row(40)])
        first = version.manifest([Example.model_validate(r) for r in [row(n) for n in range(12)] + DIRTY["spelling"]])
        engine.repair(folder, drop=[Example.model_validate(row(40)).name])
        engine.repair(folder, rule="spelling")
        found = engine.compare(folder, first.version[:10], "now")
        assert (found.same, len(found.added), len(found.removed)) == (12, 0, 0)
        (change,) = found.changed
        assert change.how == "decision"
        assert [(f.field, f.before, f.after) for f in change.fields] == [("expected.queue", "card", "Card")]
        with pytest.raises(DataError, match="no version"):
            engine.compare(folder, "0000", "now")

    def test_a_row_is_the_same_by_its_input_or_its_line(self):
        origin = Provenance(source="a.csv", line=7)
        one = Example(input={"text": "a b"}, expected="card", provenance=origin)
        relabelled = one.model_copy(update={"expected": "cash"})
        reworded = one.model_copy(update={"input": {"text": "a c"}})
        for after, how, field in ((relabelled, "input", "expected"), (reworded, "line", "input.text")):
            (change,) = diff.difference([one], [after], names=("a", "b")).changed
            assert (change.how, change.fields[0].field) == (how, field)


texts = st.text(alphabet="ab ", max_size=4)
examples = st.lists(
    st.builds(
        lambda a, b: Example(input={"text": a}, expected=b), texts, st.one_of(texts, st.dictionaries(texts, texts))
    )
)


@quick
@given(examples, examples)
def test_a_difference_accounts_for_every_row_once(before, after):
    found = diff.difference(before, after, names=("a", "b"))
    old, new = {e.name for e in before}, {e.name for e in after}
    assert len(old) == found.same + len(found.removed) + len(found.changed)
    assert len(new) == found.same + len(found.added) + len(found.changed)
    assert all(change.before in old and change.after in new and change.fields for change in found.changed)


@quick
@given(examples, st.data())
def test_undoing_any_change_gives_the_rows_back_in_order(rows, data):
    places = data.draw(st.sets(st.integers(0, len(rows) - 1))) if rows else set()
    changes = [
        decisions.Change(
            at=n, before=rows[n], after=data.draw(st.none() | st.just(rows[n].model_copy(update={"expected": "z"})))
        )
        for n in sorted(places)
    ]
    assert decisions.revert(decisions.apply(rows, changes), changes) == tuple(rows)


def test_a_change_of_another_row_is_refused():
    one, other = (Example(input={"text": text}, expected="card") for text in "ab")
    with pytest.raises(ValueError, match="row 1 is not the row"):
        decisions.apply([one], [decisions.Change(at=0, before=other, after=None)])


def test_descent_follows_a_row_through_its_names(tmp_path):
    folder = make(tmp_path / "u", [row(n) for n in range(12)] + [row(21, queue=" card", place="cafÃ©")])
    first = Example.model_validate(row(21, queue=" card", place="cafÃ©")).name
    for rule in ("trim", "encoding", "spelling"):
        engine.repair(folder, rule=rule)
    log = decisions.read(folder / "data" / "decisions.jsonl")
    last = Example.model_validate(row(21, queue="Card", place="café")).name
    assert set(decisions.descent(log, first)) == set(decisions.descent(log, last))
    assert len(decisions.descent(log, last)) == 4


@pytest.mark.parametrize("form", export.FORMS)
def test_what_is_exported_is_read_back_as_it_was(folder, tmp_path, form):
    out = engine.write_export(folder, tmp_path / "out.jsonl", form)
    back = read_examples(out, open_project(folder).usecase)
    assert not back.problems
    assert [(e.input, e.expected) for e in back.examples] == rows_of(folder)
    with pytest.raises(TuneworthyError, match="there already"):
        engine.write_export(folder, out, form)


def test_several_acceptable_outputs_are_a_row_each(text_usecase):
    example = Example(input={"text": "a"}, expected=["b", "c"])
    lines = export.lines(text_usecase, (example,), "prompt-completion").splitlines()
    assert [json.loads(line)["completion"] for line in lines] == ["b", "c"]


def test_every_rule_of_a_finding_exists(folder):
    assert set(fix.RULES) == {"exact_duplicates", "leaks", "trim", "encoding", "spelling", "key_order"}


class TestCommandLine:
    def run(self, *args):
        return CliRunner().invoke(cli.app, [str(arg) for arg in args])

    def test_check_prints_json_and_exits_3_on_a_refusal(self, folder):
        fine = self.run("data", "check", folder, "--quick", "--json")
        assert fine.exit_code == 0
        assert json.loads(fine.stdout.splitlines()[0])["examples"] == 12
        make(folder, [row(1), {**row(1), "expected": {"queue": "Cash"}}])
        refused = self.run("data", "check", folder, "--quick")
        assert refused.exit_code == 3
        assert "contradictions" in refused.stdout

    def test_fix_versions_diff_redact_and_undo(self, tmp_path):
        folder = make(tmp_path / "u", [row(n) for n in range(12)] + DIRTY["trim"] + [row(5, mail="jo@example.org")])
        for args in (
            ("fix", folder, "--rule", "trim", "--why", "as agreed"),
            ("versions", folder),
            ("diff", "now", "now", folder),
            ("statement", folder),
            ("export", tmp_path / "o.jsonl", folder, "--to", "alpaca"),
            ("fix", folder, "--undo", "--json"),
            ("redact", folder, "--dry-run"),
        ):
            result = self.run("data", *args)
            assert result.exit_code == 0, (args, result.output, result.exception)


class TestSplitAndErasure:
    def run(self, *args):
        return CliRunner().invoke(cli.app, [str(arg) for arg in args])

    def test_the_split_is_shown_and_writes_nothing(self, folder):
        before = sorted(path for path in folder.rglob("*"))
        shown = self.run("data", "split", folder, "--json")
        assert shown.exit_code == 0, shown.output
        found = json.loads(shown.stdout.splitlines()[0])
        assert len(found["split"]["train"]) + len(found["split"]["dev"]) == 12
        assert [line["rows"] for line in found["strata"]] == [12]
        assert sorted(path for path in folder.rglob("*")) == before

    def test_without_examples_it_says_what_to_do(self, folder):
        (folder / "data" / "examples.jsonl").unlink()
        shown = self.run("data", "split", folder)
        assert isinstance(shown.exception, DataError)
        assert "data import" in str(shown.exception)

    def test_runs_and_releases_that_learned_from_a_row_in_one_command(self, folder):
        engine.repair(folder, drop=[Example.model_validate(row(4)).name])
        first, now = engine.versions(folder)
        for place, record in (("runs/r1", "verdict.json"), ("releases/bookings--v0001", "manifest.json")):
            there = folder / ".tuneworthy" / place
            there.mkdir(parents=True)
            (there / record).write_text(json.dumps({"data_version": first.dataset.version}), "utf-8")
        dropped, kept = (Example.model_validate(row(n)).name for n in (4, 5))
        (held,) = engine.versions(folder, row=dropped)
        assert (held.runs, held.releases) == (("r1",), ("bookings--v0001",))
        assert [info.releases for info in engine.versions(folder, row=kept)] == [("bookings--v0001",), ()]
        shown = self.run("data", "versions", folder, "--row", dropped[:10])
        assert "Learned from it, or chosen on it: runs r1; releases bookings--v0001." in shown.stdout
        assert now.current
