"""Every check finds what is planted, and nothing in rows without it."""

import csv
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data.checks import audit, facts, labels, language, leakage
from tuneworthy.data.checks.run import WITHOUT_MODEL, run
from tuneworthy.data.findings import AuditRow, Batch, Finding, NotMeasured, worst_first
from tuneworthy.errors import Problem
from tuneworthy.records import Case, Example, Provenance

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
TEXT = make_usecase(kind="text", labels=())
JSON = make_usecase(schema={"type": "object"})


def words(dice, count=9):
    return " ".join("".join(dice.choices(SYLLABLES, k=3)) for _ in range(count))


def batch(usecase, pairs, cases=(), **more):
    """Rows from (input, output) pairs."""
    rows = tuple(Example(input={"text": asked}, expected=wanted) for asked, wanted in pairs)
    judged = tuple(Case(id=f"case-{n}", input={"text": a}, expected=w) for n, (a, w) in enumerate(cases))
    return Batch(usecase, rows, judged, **more)


def found(usecase, pairs, cases=(), **more):
    """{check.kind: row numbers from 0} of the checks without a model."""
    report = run(batch(usecase, pairs, cases, **more), quick=True)
    return {
        f"{f.check}.{f.kind}": [int(row.where.rsplit(":", 1)[1]) - 1 for row in f.rows if row.where.startswith("ex")]
        for f in report.findings
    }


@pytest.fixture(scope="module")
def clean():
    """Distinct texts and answers without a flaw."""
    dice = random.Random(1)
    return [(words(dice), f"{words(dice, 6)}.") for _ in range(60)]


def test_rows_without_a_flaw_have_no_findings(clean):
    assert found(TEXT, clean) == {}


@pytest.mark.parametrize(
    ("kind", "asked", "wanted"),
    [
        ("shape.leftover", None, "Yes, of course.<|im_end|>"),
        ("shape.leftover", None, "### Response: yes, of course."),
        ("shape.leftover", "Dear {{customer_name}}, what is it?", None),
        ("shape.refusal", None, "As an AI language model, no opinion is held here."),
        ("shape.placeholder", None, "N/A"),
        ("shape.damaged_text", None, "the cafÃ© is open all day."),
        ("shape.damaged_text", "five &amp; six are &lt; seven", None),
        ("shape.damaged_text", "a\u200bb is it", None),
        ("shape.stray_space", None, " it is open all day. "),
        ("shape.cut_off", None, "it is open all day long and then the"),
        ("shape.cut_off", None, "```python\nprint(1) and so on and on."),
        ("shape.longer_than_generated", None, "word " * 129 + "end."),
        ("personal_data.iban", "pay to DE89 3704 0044 0532 0130 00", None),
        ("personal_data.secret", "use AKIAIOSFODNN7EXAMPLE", None),
        ("facts.dated", None, "it opened on 3 May 2021 in the end."),
        ("facts.dated", None, "it costs 49.90 euros a month."),
        ("facts.fact", None, "it was built by Gustave Eiffel and others."),
        ("facts.fact", None, "it is 330 metres high or so."),
    ],
)
def test_a_planted_defect_is_found_at_its_row(clean, kind, asked, wanted):
    pairs = list(clean)
    pairs[17] = (asked or pairs[17][0], wanted or pairs[17][1])
    assert found(TEXT, pairs)[kind] == [17]


def test_many_outputs_that_stop_at_one_length_were_cut(clean):
    dice = random.Random(20)
    pairs = [(asked, words(dice, dice.randint(3, 30))) for asked, _ in clean]  # nobody writes full stops here
    pairs = [(asked, wanted[:90]) for asked, wanted in pairs]
    cut = [n for n, (_, wanted) in enumerate(pairs) if len(wanted) == 90]
    assert found(TEXT, pairs)["shape.cut_off"] == cut


def test_unreadable_rows_are_refused_with_their_reason(clean):
    problem = Problem("examples.jsonl:9", "", "expected: unknown label 'x'")
    report = run(batch(TEXT, clean, problems=(problem,)), quick=True)
    assert report.refused
    assert [(row.where, row.note) for row in report.findings[0].rows] == [(problem.where, problem.reason)]


class TestConsistency:
    def put(self, forms, key="day"):
        dice = random.Random(2)
        return [(words(dice), {key: form}) for form in forms]

    @pytest.mark.parametrize(
        ("kind", "usual", "odd"),
        [
            ("date_format", "2024-10-{:02}", "{:02}.10.2024"),
            ("time_format", "{:02}:30", "{} pm"),
            ("money_format", "€{}", "{} EUR"),
            ("number_format", "{},500.00", "{}.500,00"),
            ("unit_format", "{} km", "{} kilometres"),
        ],
    )
    def test_the_minority_is_named(self, kind, usual, odd):
        forms = [usual.format(n + 1) for n in range(20)]
        forms[3], forms[7] = odd.format(4), odd.format(8)
        assert found(JSON, self.put(forms))[f"consistency.{kind}"] == [3, 7]

    def test_spellings_types_and_key_order(self):
        dice = random.Random(3)
        pairs = [(words(dice), {"queue": "Card", "order": n, "open": True}) for n in range(20)]
        pairs[2][1]["queue"] = "card "
        pairs[5] = (pairs[5][0], {"order": 5, "queue": "Card", "open": True})
        pairs[9][1]["order"] = "9"
        got = found(JSON, pairs)
        assert got["consistency.spelling"] == [2]
        assert got["consistency.key_order"] == [5]
        assert got["consistency.type_format"] == [9]

    def test_what_is_copied_from_the_input_is_not_judged(self):
        dice = random.Random(4)
        forms = [f"{n + 1}.10.2024" if n % 2 else f"2024-10-{n + 1:02}" for n in range(20)]
        pairs = [(f"{words(dice)} {form}", {"day": form}) for form in forms]
        assert not {kind for kind in found(JSON, pairs) if kind.startswith("consistency")}

    def test_labels_have_no_forms(self):
        dice = random.Random(5)
        pairs = [(words(dice), "card" if n % 2 else "cash") for n in range(40)]
        assert found(make_usecase(), pairs) == {}


class TestDuplicatesAndContradictions:
    def test_exact_near_and_contradicting_rows(self, clean):
        pairs = [*clean, (clean[0][0].upper(), clean[0][1]), (f"{clean[1][0]} please", clean[1][1])]
        pairs += [(clean[2][0], "something else entirely.")]
        got = found(TEXT, pairs)
        assert got["duplicates.exact"] == [60]
        assert sorted(got["duplicates.near"]) == [1, 61]
        assert got["contradictions.exact"] == [2, 62]

    def test_most_rows_repeated_is_refused(self, clean):
        report = run(batch(TEXT, [*clean, *clean]), quick=True)
        assert report.findings[0].kind == "exact"
        assert report.refused

    @pytest.mark.parametrize(
        ("other", "label", "wanted"),
        [
            ("please can you tell me where the nearest branch office of the bank is", "cash", True),
            ("can you tell me where the nearest brnach office of the bank is", "cash", True),
            ("can you tell me where the nearest branch office of the bank is", "card", False),
            ("can you not tell me where the nearest branch office of the bank is", "cash", False),
        ],
    )
    def test_near_inputs_with_other_labels_unless_negation_tells_them_apart(self, other, label, wanted):
        dice = random.Random(6)
        rows = [(words(dice), "card" if n % 2 else "cash") for n in range(40)]
        rows += [("can you tell me where the nearest branch office of the bank is", "card"), (other, label)]
        assert ("contradictions.near" in found(make_usecase(), rows)) is wanted

    def test_a_difference_that_the_inputs_show_is_none(self):
        dice = random.Random(7)
        tail = words(dice)
        rows = [(f"what is the price of plan number {n} {tail}", f"plan number {n} it is.") for n in range(3)]
        rows += [(words(dice), f"{words(dice)}.") for _ in range(40)]
        assert "contradictions.near" not in found(TEXT, rows)


class TestCoverage:
    def labelled(self, counts):
        dice = random.Random(8)
        return [(words(dice), label) for label, count in counts.items() for _ in range(count)]

    def test_labels_that_are_missing_rare_dominant_or_not_judged(self):
        usecase = make_usecase(labels=("a", "b", "c", "d"))
        dice = random.Random(9)
        cases = [(words(dice), "c"), (words(dice), "a")]
        report = run(batch(usecase, self.labelled({"a": 90, "b": 4}), cases), quick=True)
        kinds = {f.kind: f for f in report.findings}
        assert kinds["label_without_examples"].severity == "refuse"
        assert "c, d" in kinds["label_without_examples"].what
        assert len(kinds["rare_label"].rows) == len(kinds["label_without_cases"].rows) == 4
        assert "96 %" in kinds["dominant_label"].what

    def test_cases_about_what_no_example_is_about_and_the_reverse(self):
        dice = random.Random(10)
        topics = [words(dice, 30).split() for _ in range(4)]

        def about(topic, count):
            return [(" ".join(dice.choices(topics[topic], k=8)), "card") for _ in range(count)]

        examples = [*about(0, 200), *about(1, 200), *about(2, 200)]
        cases = [*about(0, 60), *about(1, 60), *about(3, 20)]
        report = run(batch(make_usecase(), examples, cases), quick=True)
        kinds = {f.kind: f for f in report.findings}
        uncovered = {row.name for row in kinds["uncovered_cases"].rows}
        assert uncovered >= {f"case-{n}" for n in range(120, 140)}
        assert len(uncovered) < 26
        lone = {int(row.where.rsplit(":", 1)[1]) - 1 for row in kinds["unjudged_examples"].rows}
        assert len(lone & set(range(400, 600))) > 150
        assert len(lone - set(range(400, 600))) < 20


class TestLeakage:
    def test_exact_and_near(self, clean):
        cases = [clean[0], (f"hello {clean[1][0]}", clean[1][1]), (words(random.Random(11)), "no.")]
        got = found(TEXT, clean, cases)
        assert got["leakage.exact"] == [0]
        assert got["leakage.near"] == [1]

    def test_many_rows_are_compared_by_words_with_the_same_result(self, clean, monkeypatch):
        monkeypatch.setattr("tuneworthy.data.near.CHARACTERS", 0)
        self.test_exact_and_near(clean)

    def test_other_words_need_a_near_meaning_and_the_same_output(self):
        class ByTopic:
            """Texts of one topic point one way; the topic is the last word."""

            def embed(self, texts):
                topics = [random.Random(text.split()[-1]) for text in texts]
                noise = np.random.default_rng(0).normal(size=(len(texts), 40))
                units = np.asarray([[topic.gauss() for _ in range(40)] for topic in topics]) + 0.3 * noise
                return np.asarray([unit / np.linalg.norm(unit) for unit in units])

        dice = random.Random(15)
        rows = [(f"{words(dice)} t{n}", "ab"[n % 2]) for n in range(60)]
        cases = [(f"{words(dice)} t{n}", "ab"[n % 2]) for n in range(3)]
        cases += [(f"{words(dice)} t9", "a"), (f"{words(dice)} t99", "a")]  # another output; another topic
        cases += [(f"{words(dice)} u{n}", "a") for n in range(20)]
        b = batch(make_usecase(labels=("a", "b")), rows, cases)
        (finding,) = leakage._rephrased(b, ByTopic())
        assert {int(row.where.rsplit(":", 1)[1]) - 1 for row in finding.rows} == {0, 1, 2}

    def test_without_cases_it_says_so(self, clean):
        gaps = run(batch(TEXT, clean), quick=True).not_measured
        assert "leakage" in {gap.check for gap in gaps}


class TestFacts:
    def test_what_the_input_or_the_evidence_says_is_no_fact(self):
        dice = random.Random(12)
        told = "Gustave Eiffel built it for 1,500 euros on 3 May 1889"
        rows = [(f"{words(dice)} {told}", "It cost 1500 euros on May 3, 1889, said Eiffel.") for _ in range(4)]
        assert list(facts.check(batch(TEXT, rows))) == []
        row = Example(input={"text": words(dice)}, expected="It cost 1500 euros.", evidence=told)
        assert list(facts.check(Batch(TEXT, (row,)))) == []

    def test_a_habit_of_writing_is_no_fact(self, clean):
        rows = [(asked, f"{wanted} Yours, team Brackwater 24.") for asked, wanted in clean]
        assert list(facts.check(batch(TEXT, rows))) == []

    def test_dated_ones_come_first(self, clean):
        rows = [*clean]
        rows[3], rows[5] = (clean[3][0], "it is 77 long or so."), (clean[5][0], "it was so in 2019, they say.")
        kinds = [f.kind for f in worst_first(f for f in facts.check(batch(TEXT, rows)) if isinstance(f, Finding))]
        assert kinds == ["dated", "fact"]


class TestSourcesAndLanguage:
    def test_one_author_and_one_month(self):
        dice = random.Random(13)
        usecase = make_usecase(fields=("text", "agent", "created"))
        rows = tuple(
            Example(
                input={
                    "text": words(dice),
                    "agent": "ann" if n % 5 else f"agent {n}",
                    "created": f"2024-0{1 + n % 9}-11",
                },
                expected="card",
                provenance=Provenance(source="x.csv", line=n + 1),
            )
            for n in range(60)
        )
        whats = [f.what for f in run(Batch(usecase, rows), quick=True).findings if f.check == "sources"]
        assert len(whats) == 1
        assert "'ann' has 80 %" in whats[0]

    def test_another_script_and_another_language(self):
        english = "I would like to know how much money there is left on my account number {} today please"
        german = "Ich möchte bitte gerne wissen, wie viel Geld sich heute noch auf meinem Konto befindet"
        rows = [(f"{english.format(n)} {n}", "card") for n in range(30)]
        rows += [(german, "card"), ("Сколько денег осталось на моём счёте сегодня, скажите пожалуйста", "card")]
        kinds = {f.kind: [row.note[:2] for row in f.rows] for f in language.check(batch(make_usecase(), rows))}
        assert kinds["script"] == ["CY"]
        assert kinds["language"] == ["de", "ru"]

    def test_short_rows_are_not_guessed(self):
        gaps = [g for g in language.check(batch(make_usecase(), [("Konto?", "card")])) if isinstance(g, NotMeasured)]
        assert gaps


class TestAudit:
    def judged(self, b, verdicts):
        rows = audit.sample(b, rows=len(verdicts))
        return tuple(row.model_copy(update={"verdict": v}) for row, v in zip(rows, verdicts, strict=True))

    def test_the_sample_is_seeded_and_does_not_depend_on_the_order(self, clean):
        names = [row.name for row in audit.sample(batch(TEXT, clean), rows=10, seed=3)]
        assert names == [row.name for row in audit.sample(batch(TEXT, clean[::-1]), rows=10, seed=3)]
        assert names != [row.name for row in audit.sample(batch(TEXT, clean), rows=10, seed=4)]

    def test_the_rate_has_wilsons_interval(self, clean):
        b = batch(TEXT, clean)
        rows = self.judged(b, ["wrong"] * 3 + ["right"] * 47 + [""] * 10)
        (finding,) = audit.check(Batch(TEXT, b.examples, audit=rows))
        assert "6.0 % of the outputs are wrong (2.1 to 16.2 %, 50 random rows judged)" in finding.what
        assert finding.severity == "review"
        assert {row.name for row in finding.rows} == {row.name for row in rows[:3]}

    def test_without_verdicts_nothing_is_said_and_an_odd_one_is_an_error(self, clean):
        b = batch(TEXT, clean)
        assert isinstance(next(iter(audit.check(b))), NotMeasured)
        with pytest.raises(ValueError, match="'perhaps' is no verdict"):
            audit.rate(self.judged(b, ["perhaps"]))


class TestLabels:
    def test_flipped_labels_head_the_queue(self):
        dice = random.Random(14)
        topics = {label: words(dice, 12).split() for label in "abcd"}
        rows = [(" ".join(dice.choices(topics[label], k=7)), label) for label in "abcd" for _ in range(60)]
        wrong = dice.sample(range(240), 12)
        for n in wrong:
            rows[n] = (rows[n][0], "abcd"[("abcd".index(rows[n][1]) + 1) % 4])
        queue = labels.ranked(batch(make_usecase(labels=tuple("abcd")), rows))
        assert len(queue) == 24
        assert len({n for n, _ in queue[:12]} & set(wrong)) >= 11
        right = {n: "abcd"[("abcd".index(rows[n][1]) - 1) % 4] for n in wrong}
        assert sum(right.get(n) == instead for n, instead in queue[:12]) >= 11

    def test_too_few_rows_are_not_measured(self):
        assert isinstance(labels.ranked(batch(make_usecase(), [("a", "card"), ("b", "cash")])), NotMeasured)

    def test_near_miss_flips_in_real_data(self, banking77):
        with (banking77 / "train.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        dice = random.Random(0)
        kept = sorted({label for _, label in rows})[:12]
        rows = [row for row in rows if row[1] in kept]
        wrong = dice.sample(range(len(rows)), len(rows) // 20)
        for n in wrong:
            rows[n] = (rows[n][0], kept[(kept.index(rows[n][1]) + dice.randint(1, 11)) % 12])
        queue = [n for n, _ in labels.ranked(batch(make_usecase(labels=tuple(kept)), rows))]
        assert len(set(queue[: len(wrong)]) & set(wrong)) >= 0.7 * len(wrong)  # .8 measured


def test_a_report_is_sorted_worst_first_and_says_what_was_skipped(clean):
    pairs = [*clean, (clean[0][0], "AKIAIOSFODNN7EXAMPLE it is."), (clean[1])]
    report = run(batch(TEXT, pairs), quick=True)
    order = [f.severity for f in report.findings]
    assert order == sorted(order, key=["refuse", "review", "note"].index)
    assert {"labels", "rephrased"} <= {gap.check for gap in report.not_measured}
    assert set(report.seconds) == set(WITHOUT_MODEL)
    assert all(f.cost == "not measured" for f in report.findings)


anything = st.text(max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(anything, st.one_of(anything, st.dictionaries(anything, st.one_of(anything, st.integers()))))),
    st.lists(st.tuples(anything, anything), max_size=3),
)
def test_any_rows_are_checked_and_the_order_does_not_matter(pairs, cases):
    usecase = make_usecase(schema={}) if any(isinstance(w, dict) for _, w in pairs) else TEXT
    one, other = (run(batch(usecase, rows, cases), quick=True) for rows in (pairs, pairs[::-1]))
    assert one.version == other.version
    assert {(f.kind, len(f.rows)) for f in one.findings} == {(f.kind, len(f.rows)) for f in other.findings}


def test_a_verdict_is_kept_as_written():
    row = AuditRow(name="a", where="x:1", input="a", output="b", verdict="wrong", instead="c")
    assert AuditRow.model_validate_json(row.model_dump_json()) == row
