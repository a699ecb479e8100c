"""Chat logs, traces and folders become rows: every answer once, with what was said before it, and never torn apart."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase
from typer.testing import CliRunner

from tuneworthy import cli
from tuneworthy.data import near
from tuneworthy.data.checks import contradictions, duplicates, shape, sources
from tuneworthy.data.findings import Batch
from tuneworthy.data.read import import_file, read_cases, read_examples
from tuneworthy.data.split import split
from tuneworthy.errors import DataError
from tuneworthy.project import Project
from tuneworthy.records import Feedback, Trace

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def usecase():
    found = make_usecase(kind="text", labels=())
    found.input["text"].__dict__["max_chars"] = 2_000
    return found


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def chat(*texts, **more):
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)], **more}


def share(*texts):
    roles = ("human", "gpt")
    return {"conversations": [{"from": roles[n % 2], "value": text} for n, text in enumerate(texts)]}


def read_or_error(path, usecase):
    try:
        return read_examples(path, usecase)
    except DataError as error:
        return error


LONG = "User: hello\n\nAssistant: hi\n\nUser: a\nb"


class TestSeveralTurns:
    @pytest.mark.parametrize("log", [chat, share])
    def test_every_answer_is_a_row_with_what_was_said_before(self, tmp_path, usecase, log):
        found = read_examples(
            write(tmp_path / "a.jsonl", [log("hello", "hi", "a\nb", "c"), log("one", "two")]), usecase
        )
        assert [(e.input["text"], e.expected) for e in found.examples] == [("hello", "hi"), (LONG, "c"), ("one", "two")]
        assert found.lines == (1, 1, 2)
        first, second, alone = (e.cluster for e in found.examples)
        assert first == second != alone == ""
        assert "said before" in found.mapping["input.text"]

    def test_a_last_word_of_the_user_and_answers_of_weight_0_are_only_context(self, tmp_path, usecase):
        row = chat("hello", "hi", "a\nb", "c", "thanks")
        row["messages"][1]["weight"] = 0
        (example,) = read_examples(write(tmp_path / "a.jsonl", [row]), usecase).examples
        assert (example.input["text"], example.expected) == (LONG, "c")

    def test_one_bad_answer_is_listed_and_the_others_stay(self, tmp_path):
        usecase = make_usecase()
        row = chat("lost it", "Since when?", "today", "card")
        found = read_examples(write(tmp_path / "a.jsonl", [row]), usecase)
        assert [e.expected for e in found.examples] == ["card"]
        assert "lacks 'Since when?'" in found.problems[0].reason
        assert json.loads(found.rejects[0].text)["messages"] == row["messages"][:2]

    def test_a_conversation_is_on_one_side_and_no_news_to_the_checks(self, tmp_path, usecase):
        logs = [chat(*(f"word{n} turn {k}" for k in range(6))) for n in range(60)]
        found = read_examples(write(tmp_path / "a.jsonl", logs), usecase)
        sides = split(found.examples, seed=0)
        of_side = [{e.cluster for e in found.examples if e.name in set(side)} for side in (sides.train, sides.dev)]
        assert all(of_side)
        assert not of_side[0] & of_side[1]
        batch = Batch(usecase, found.examples[:3])
        assert len(near.clusters(batch.examples)) == 3
        assert [*duplicates.check(batch), *contradictions.check(batch)] == []
        kinds = {item.kind for item in shape.check(Batch(usecase, found.examples)) if hasattr(item, "kind")}
        assert "leftover" not in kinds

    def test_cases_of_a_conversation_share_a_cluster(self, tmp_path, usecase):
        cases = read_cases(write(tmp_path / "a.jsonl", [chat("hello", "hi", "a", "c")]), usecase)
        assert len({case.cluster for case in cases}) == 1
        assert all(case.cluster for case in cases)

    def test_a_declared_cluster_is_read_back_as_written(self, tmp_path, usecase):
        rows = [{"prompt": f"text {n}", "completion": "c", "cluster": f"customer {n % 2}"} for n in range(4)]
        project = Project(tmp_path)
        project.__dict__["usecase"] = usecase
        written = import_file(write(tmp_path / "a.jsonl", rows), project).examples
        assert [e.cluster for e in written] == ["customer 0", "customer 1"] * 2
        assert read_examples(project.native_examples, usecase).examples == written
        numbers = near.clusters(written)
        assert (numbers[0], numbers[1]) == (numbers[2], numbers[3])


def trace(answer="c", *, asked=("a",), feedback=None, finish="stop", **more):
    return Trace(
        id="t1",
        when="2026-11-25T10:00:00+00:00",
        request={"model": "alias", "messages": [{"role": "system", "content": "Any."}, *chat(*asked)["messages"]]},
        response={
            "model": "small-1",
            "choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": finish}],
        },
        feedback=feedback,
        **more,
    ).model_dump(mode="json")


class TestTraces:
    @pytest.mark.parametrize(
        ("feedback", "expected", "model"),
        [
            (None, "c", "small-1"),
            (Feedback(rating="good"), "c", ""),
            (Feedback(rating="bad", correction="d"), "d", ""),
            (Feedback(correction="d"), "d", ""),
        ],
    )
    def test_what_a_person_said_comes_before_what_a_model_said(self, tmp_path, usecase, feedback, expected, model):
        found = read_examples(write(tmp_path / "a.jsonl", [trace(feedback=feedback)]), usecase)
        (example,) = found.examples
        assert (found.format, example.input, example.expected) == ("gateway trace", {"text": "a"}, expected)
        assert (example.provenance.model, example.provenance.date) == (model, "2026-11-25T10:00:00+00:00")
        told = [
            item for item in sources.check(Batch(usecase, found.examples)) if getattr(item, "kind", "") == "unjudged"
        ]
        assert bool(told) == bool(model)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (trace(feedback=Feedback(rating="bad")), "rated bad"),
            (trace(finish="length"), "ended by 'length'"),
            (trace(finish="tool_calls"), "ended by 'tool_calls'"),
            (trace(answer=None), "content: is missing"),
            ({**trace(), "response": {"error": {"message": "busy"}}}, "response.error"),
            ({**trace(), "response": {"choices": []}}, "one choice"),
            ({**trace(), "request": "{"}, "not JSON"),
            ({**trace(), "request": {"messages": "a"}}, "request.messages"),
            ({**trace(), "feedback": 3}, "feedback"),
        ],
    )
    def test_what_cannot_be_learned_is_listed(self, tmp_path, usecase, row, said):
        found = read_examples(write(tmp_path / "a.jsonl", [trace(), row]), usecase)
        assert len(found.examples) == 1
        assert said in found.problems[0].reason

    def test_traces_of_one_conversation_are_one_cluster(self, tmp_path, usecase):
        rows = [trace("b"), trace("d", asked=("a", "b", "c")), trace("b", asked=("other",))]
        one, two, other = read_examples(write(tmp_path / "a.jsonl", rows), usecase).examples
        assert one.cluster == two.cluster != other.cluster
        assert two.input == {"text": "User: a\n\nAssistant: b\n\nUser: c"}

    def test_another_gateway_writes_the_bodies_as_text_and_seconds(self, tmp_path, usecase):
        row = {k: json.dumps(v) for k, v in trace().items() if k in ("request", "response")}
        row["response"] = json.dumps({**json.loads(row["response"]), "created": 1764064800})
        (example,) = read_examples(write(tmp_path / "a.jsonl", [row]), usecase).examples
        assert datetime.fromisoformat(example.provenance.date) == datetime.fromtimestamp(1764064800, UTC)

    @quick
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["request", "response", "feedback", "when", "cluster", "conversation", "licence"]),
                st.recursive(
                    st.none() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: (
                        st.lists(inner, max_size=2)
                        | st.dictionaries(
                            st.sampled_from(
                                ["messages", "choices", "message", "content", "role", "rating", "correction", "created"]
                            ),
                            inner | st.sampled_from(["user", "assistant", "bad"]),
                            max_size=4,
                        )
                    ),
                    max_leaves=12,
                ),
                min_size=2,
            ),
            min_size=1,
            max_size=3,
        )
    )
    def test_any_trace_is_read_or_listed(self, tmp_path, usecase, rows):
        path = write(tmp_path / "a.jsonl", [*rows, *[trace()] * len(rows)])
        found = read_or_error(path, usecase)
        if isinstance(found, DataError):
            assert "a.jsonl" in str(found)
        else:
            assert len(found.examples) + len(found.problems) >= 2 * len(rows)


class TestOrigin:
    def test_licence_and_date_of_a_row_and_of_the_import(self, tmp_path, usecase):
        rows = [
            {"text": "a", "label": "b", "license": "MIT", "created_at": 1764064800},
            {"text": "c", "label": "d", "license": None, "created_at": "2026-01-02"},
        ]
        project = Project(tmp_path)
        project.__dict__["usecase"] = usecase
        found = import_file(write(tmp_path / "a.jsonl", rows), project, licence="CC-BY-4.0")
        assert [e.provenance.licence for e in found.examples] == ["MIT", "CC-BY-4.0"]
        assert [e.provenance.date for e in found.examples] == ["2025-11-25T10:00:00+00:00", "2026-01-02"]
        assert found.mapping["provenance.licence"] == "license"
        assert found.unused == ()

    def test_a_declared_field_is_no_origin(self, tmp_path):
        usecase = make_usecase(fields=("date",), kind="text", labels=())
        found = read_examples(write(tmp_path / "a.jsonl", [{"date": "today", "label": "b"}]), usecase)
        assert (found.examples[0].input, found.examples[0].provenance.date) == ({"date": "today"}, "")


def files(folder, **contents):
    for name, text in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


class TestFolders:
    def test_a_folder_per_label(self, tmp_path):
        folder = files(
            tmp_path / "mails", **{"card__1.txt": "lost it\r\n", "cash__1.md": "no\nmoney", ".hidden__x": ""}
        )
        found = read_examples(folder, make_usecase())
        assert [(e.input["text"], e.expected) for e in found.examples] == [("lost it", "card"), ("no\nmoney", "cash")]
        assert found.examples[0].provenance.source == "card/1.txt"
        assert found.format == "a folder per label"

    def test_pairs_of_files(self, tmp_path):
        usecase = make_usecase(schema={"type": "object"}, fields=("subject", "body"))
        contents = {
            "input__a.json": '{"subject": "s", "body": "b"}',
            "expected__a.json": '{"queue": "card"}',
            "input__b.txt": '{"subject": "t", "body": "c"}',
            "expected__b.txt": '{"queue": "cash"}',
        }
        found = read_examples(files(tmp_path / "mails", **contents), usecase)
        assert [(e.input["subject"], e.expected["queue"]) for e in found.examples] == [("s", "card"), ("t", "cash")]

    def test_every_file_that_is_no_row_is_listed(self, tmp_path):
        usecase = make_usecase(kind="text", labels=())
        contents = {
            "input__a.txt": "a",
            "expected__a.txt": "b",
            "input__lonely.txt": "a",
            "expected__other.txt": "b",
            "input__a.md": "twice",
            "input__scan.pdf": "%PDF",
            "expected__scan.txt": "b",
            "input__latin.txt": b"caf\xe9",
            "expected__latin.txt": "b",
            "input__empty.txt": "",
            "expected__empty.txt": "b",
            "README.txt": "about",
        }
        found = read_examples(files(tmp_path / "mails", **contents), usecase)
        told = {p.where.rpartition(":")[0]: p.reason for p in found.problems}
        assert len(found.examples) == 1
        assert "there is no expected/lonely" in told["input/lonely.txt"]
        assert "there is no input/other" in told["expected/other.txt"]
        assert "same name" in told["input/a.txt"]
        assert "is no text" in told["input/scan.pdf"]
        assert "not UTF-8" in told["input/latin.txt"]
        assert "is missing or empty" in told["input/empty.txt"]
        assert "README.txt" in told
        assert len(told) == len(found.problems) == 7

    @pytest.mark.parametrize("contents", [{}, {"a.txt": "x"}, {"a__b__c.txt": "x"}])
    def test_any_other_folder_is_refused_with_what_is_wanted(self, tmp_path, contents):
        folder = files(tmp_path / "mails", **contents)
        folder.mkdir(exist_ok=True)
        with pytest.raises(DataError, match=r"(?s)mails.*(Next|is a folder)"):
            read_examples(folder, make_usecase()).require_whole()

    @quick
    @given(
        st.dictionaries(
            st.sampled_from(["input", "expected", "card", "cash", "a.txt"]),
            st.dictionaries(
                st.sampled_from(["1.txt", "1.json", "2.md", "3.pdf", ".x", "4"]), st.binary(max_size=20), max_size=4
            ),
            max_size=4,
        )
    )
    def test_any_folder_is_read_listed_or_refused(self, tmp_path_factory, inner):
        folder = tmp_path_factory.mktemp("any")
        for name, held in inner.items():
            (folder / name).mkdir()
            for file, content in held.items():
                (folder / name / file).write_bytes(content)
        found = read_or_error(folder, make_usecase())
        if isinstance(found, DataError):
            assert "Next:" in str(found)
        else:
            shown = sum(not file.startswith(".") for held in inner.values() for file in held)
            assert 0 < len(found.examples) + len(found.problems) <= shown


class TestCommandLine:
    USECASE = """
name = "mails"
instruction = "Sort these mails."
[input.body]
[output]
kind = "label"
labels = ["card", "cash"]
[bar]
metric = "classification"
at_least = 0.8
smallest_difference = 0.05
"""

    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "u").mkdir()
        (tmp_path / "u" / "usecase.toml").write_text(self.USECASE, "utf-8")
        (tmp_path / "mails.csv").write_text("mail;queue\nlost it;card\n", "utf-8")
        return tmp_path / "u"

    def run(self, *args):
        return CliRunner().invoke(cli.app, [str(arg) for arg in args])

    def test_a_dry_run_shows_the_mapping_with_the_first_row_and_writes_nothing(self, folder):
        source = folder.parent / "mails.csv"
        mapped = ("--map", "input.body=mail", "--map", "expected=queue")
        shown = self.run("data", "import", source, folder, *mapped, "--dry-run")
        assert "input.body ← mail   first: lost it" in shown.stdout
        assert "Nothing was written" in shown.stdout
        assert not (folder / "data").exists()
        done = self.run("data", "import", source, folder, *mapped, "--licence", "MIT")
        assert done.exit_code == 0
        assert '"licence": "MIT"' in (folder / "data" / "examples.jsonl").read_text("utf-8")

    @pytest.mark.parametrize(("said", "written"), [("y\n", True), ("\n", False), ("no\n", False)])
    def test_at_a_terminal_a_guess_is_confirmed(self, folder, monkeypatch, said, written):
        write(folder.parent / "a.jsonl", [{"prompt": "lost it", "completion": "card"}])
        monkeypatch.setattr("rich.console.Console.input", lambda self, prompt: said)

        class Terminal:
            def isatty(self):
                return True

        monkeypatch.setattr("tuneworthy.cli.sys.stdin", Terminal())
        cli.data.data_import(folder.parent / "a.jsonl", folder)
        assert (folder / "data" / "examples.jsonl").exists() == written
