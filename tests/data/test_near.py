"""Near-duplicates: planted copies are found, distinct rows under one template are not."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase, rows

from tuneworthy.data import grams, near, neighbours, template
from tuneworthy.data.checks import duplicates
from tuneworthy.data.findings import Batch
from tuneworthy.records import Case, Example

CONSONANTS, VOWELS = "bcdfgklmnprstvz", "aeiou"


def word(dice):
    return "".join(dice.choice(CONSONANTS) + dice.choice(VOWELS) for _ in range(dice.randint(2, 4)))


def sentence(dice, words=12):
    return " ".join(word(dice) for _ in range(words))


def cases(*texts):
    return tuple(Case(id=f"case-{number}", input={"text": text}, expected="card") for number, text in enumerate(texts))


def flagged(texts):
    """Rows that share a cluster with another."""
    numbers = near.clusters(rows(*texts))
    return sum(numbers.count(number) > 1 for number in numbers)


class TestLeaks:
    def test_exact_and_near_copies_are_found_and_others_are_not(self):
        dice = random.Random(1)
        texts = [sentence(dice) for _ in range(60)]
        suite = cases(*texts[:30])
        copies = {
            f"  {texts[0].upper()}\n": ("exact", "case-0"),
            texts[1].replace(" ", "  "): ("exact", "case-1"),
            texts[2] + " thanks": ("near", "case-2"),
            texts[3][:20] + "x" + texts[3][21:]: ("near", "case-3"),
            " ".join(texts[4].split()[1:]): ("near", "case-4"),
        }
        found = near.leaks(rows(*texts[30:], *copies), suite)
        by_name = {row.name: row.input["text"] for row in rows(*copies)}
        assert {by_name[leak.example]: (leak.kind, leak.case) for leak in found} == copies
        assert all(grams.THRESHOLD <= leak.similarity <= 1 for leak in found)

    def test_composed_and_decomposed_letters_are_one_text(self):
        (leak,) = near.leaks(rows("Cafe\u0301 bill"), cases("caf\u00e9 BILL"))
        assert leak.kind == "exact"

    def test_a_prompt_that_only_the_examples_carry_hides_no_leak(self):
        dice = random.Random(2)
        prompt = sentence(dice, 200)
        texts = [sentence(dice) for _ in range(80)]
        found = near.leaks(rows(*(f"{prompt} {text}" for text in texts[20:])), cases(*texts[:40]))
        assert len(found) == 20
        assert {leak.case for leak in found} == {f"case-{number}" for number in range(20, 40)}

    def test_nothing_to_compare_is_no_leak(self):
        assert near.leaks((), cases("a")) == near.leaks(rows("a"), ()) == ()

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.text(max_size=12), max_size=8))
    def test_any_text_is_compared_and_equal_ones_are_exact(self, learned, judged):
        found = {leak.example: leak.kind for leak in near.leaks(rows(*learned), cases(*judged))}
        same = {near.normal(text) for text in judged}
        for row in rows(*learned):
            assert (found.get(row.name) == "exact") == (near.normal(str(row.input["text"])) in same)


class TestClusters:
    def test_copies_belong_together_directly_or_through_others(self):
        dice = random.Random(3)
        first = sentence(dice, 14)
        chain = [first]
        for _ in range(4):
            words = chain[-1].split()
            chain.append(" ".join([*words[1:], word(dice)]))
        others = [sentence(dice, 14) for _ in range(20)]
        numbers = near.clusters(rows(*chain, first.upper(), *others))
        assert len(set(numbers[:6])) == 1
        assert len(set(numbers)) == 21

    def test_no_rows_no_clusters_and_rows_without_letters_have_one(self):
        assert near.clusters(()) == ()
        empty = [Example(input={}, expected=label) for label in "ab"]
        assert len(set(near.clusters(empty))) == 1
        assert len(near.clusters(rows(*("a" * n for n in range(1, 60))))) == 59

    def test_order_does_not_matter(self):
        dice = random.Random(4)
        texts = [sentence(dice) for _ in range(30)]
        texts += [f"{text} now" for text in texts[:10]]
        mixed = random.Random(0).sample(range(40), 40)
        straight, other = near.clusters(rows(*texts)), near.clusters(rows(*(texts[i] for i in mixed)))
        groups = {frozenset(t for t, n in zip(texts, straight, strict=True) if n == number) for number in straight}
        assert groups == {
            frozenset(texts[i] for i, n in zip(mixed, other, strict=True) if n == number) for number in other
        }


@pytest.fixture(scope="module")
def texts():
    dice = random.Random(5)
    return [sentence(dice, 15) for _ in range(300)]


class TestTemplate:
    """Distinct rows stay distinct under every kind of shared text; see the docstring of the module."""

    def test_without_any_template_nothing_is_flagged(self, texts):
        assert flagged(texts) == 0

    @pytest.mark.parametrize(
        "dress",
        [
            lambda text, number, prompts: f"{prompts[0]} {text}",
            lambda text, number, prompts: f"{prompts[number % 6]} {text}",
            lambda text, number, prompts: f"{prompts[0]} {text} {prompts[1]}",
            lambda text, number, prompts: f"one two three four customer{number} {prompts[0]} {text}",
            lambda text, number, prompts: f"one two customer{number} {prompts[0]} {text}" if number % 2 else text,
        ],
        ids=["one prompt", "six prompts", "before and after", "a slot", "a slot, in half the rows"],
    )
    def test_a_shared_prompt_makes_no_near_duplicates(self, texts, dress):
        dice = random.Random(6)
        prompts = [sentence(dice, 200) for _ in range(6)]
        assert flagged([dress(text, number, prompts) for number, text in enumerate(texts)]) == 0

    def test_questions_of_one_wording_about_different_things_are_different(self):
        dice = random.Random(7)
        asked = [
            f"What is the {a} {b} of the {c.title()} plan?"
            for a, b, c in [[word(dice) for _ in "abc"] for _ in range(200)]
        ]
        assert flagged(asked) == 0

    def test_a_few_questions_asked_about_many_things_are_different(self):
        dice = random.Random(10)
        things = [word(dice) + word(dice) for _ in range(50)]
        facets = ["coverage limit", "refund window", "late charge", "storage quota", "trial length", "renewal day"]
        assert flagged([f"What is the {facet} of the {thing} plan?" for facet in facets for thing in things]) == 0

    def test_a_family_of_near_copies_is_not_taken_for_a_template(self, texts):
        dice = random.Random(8)
        source = sentence(dice, 40).split()
        family = []
        for _ in range(40):
            copy = list(source)
            copy[dice.randrange(40)] = word(dice)
            family.append(" ".join(copy))
        numbers = near.clusters(rows(*family, *texts))
        assert len(set(numbers[:40])) == 1
        assert len(set(numbers)) == 301

    def test_rows_of_nothing_but_the_template_stay_whole(self):
        prompt = sentence(random.Random(9), 30)
        assert template.without_template([prompt] * 50) == [prompt] * 50


def test_input_text_does_not_depend_on_the_order_of_fields():
    assert near.input_text({"b": 2, "a": "x"}) == near.input_text({"a": "x", "b": 2}) == "x\n2"


@pytest.mark.timeout(60)
def test_ten_thousand_rows_are_compared_in_seconds(banking77):
    import csv

    with (banking77 / "train.csv").open(encoding="utf-8", newline="") as file:
        train = rows(*(row["text"] for row in csv.DictReader(file)))
    start = time.perf_counter()
    numbers = near.clusters(train)
    assert len(numbers) == 10_003
    assert time.perf_counter() - start < 40  # 4 s on an idle core
    assert max(numbers.count(number) for number in set(numbers[:50])) < 50


class TestPassages:
    PASSAGE = (
        "The Rhine rises in the Alps and flows north to the sea. Near Basel it turns towards the Upper Rhine Plain. "
        "Large ships reach the town from Rotterdam in four days."
    )
    QUESTIONS = ("Where does the river rise?", "How long do ships need?", "Which town lies at the bend?")

    def asked(self, *, fields, separator=" "):
        if fields:
            return tuple(Example(input={"context": self.PASSAGE, "question": q}, expected=q) for q in self.QUESTIONS)
        return rows(*(f"{self.PASSAGE}{separator}{q}" for q in self.QUESTIONS))

    @pytest.mark.parametrize(("fields", "separator"), [(True, ""), (False, " "), (False, "\n")])
    def test_questions_about_one_passage_are_no_copies_but_stay_together(self, fields, separator):
        examples = self.asked(fields=fields, separator=separator)
        found = neighbours.find([near.input_text(e.input) for e in examples])
        assert found.pairs == ()
        assert len(set(near.clusters(examples))) == 1
        asked = Case(id="a", input=examples[0].input, expected="x")
        assert [leak.kind for leak in near.leaks(examples, [asked])] == ["exact"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace("river rise", "rievr rise"),
            lambda text: text.replace("four days", "about four days"),
            lambda text: f"{text} Thanks.",
            lambda text: text.replace("Near Basel it turns", "It turns"),
            lambda text: text.replace("Where does", "Say where does"),
        ],
    )
    def test_a_copy_with_something_changed_is_one(self, change):
        one = f"{self.PASSAGE} {self.QUESTIONS[0]}"
        assert len(neighbours.find([one, change(one)]).pairs) == 1

    @settings(max_examples=60, deadline=None)
    @given(st.text(alphabet="ab .!\n", max_size=60), st.text(alphabet="ab .!\n", max_size=60))
    def test_it_does_not_matter_which_comes_first(self, one, two):
        one, two = (f"{self.PASSAGE} {text}" for text in (one, two))
        passages = template.Passages([one, two])
        assert passages.other_questions(one, two) == passages.other_questions(two, one)
        assert not passages.other_questions(one, one)

    def test_what_many_rows_share_is_a_prompt_and_no_passage(self):
        dice = random.Random(5)
        asked = [sentence(dice, 6) for _ in range(template.FEWEST_ROWS)]
        texts = [f"{self.PASSAGE} {text}" for text in [*asked, asked[0].replace(" ", " so ", 1)]]
        assert not template.Passages(texts).other_questions(texts[0], f"{self.PASSAGE} {asked[1]}")
        assert template.Passages(texts[:2]).other_questions(texts[0], texts[1])


@pytest.mark.parametrize("characters", [near.CHARACTERS, 0], ids=["by characters", "by words"])
def test_under_a_prompt_of_any_length_the_same_rows_are_duplicates(monkeypatch, characters):
    monkeypatch.setattr(near, "CHARACTERS", characters)
    dice = random.Random(11)
    texts = [sentence(dice) for _ in range(120)]
    texts += [f"{text} {word(dice)}" for text in texts[:10]] + [text.upper() for text in texts[20:25]]
    found = {}
    for words in (0, 60, 200, 400):
        prompt = ". ".join(sentence(random.Random(n), 10) for n in range(words // 10))
        batch = Batch(make_usecase(), rows(*(f"{prompt} {text}".strip() for text in texts)))
        found[words] = {f.kind: sorted(ref.where for ref in f.rows) for f in duplicates.check(batch)}
    assert len(found[0]["near"]) == 20
    assert len(found[0]["exact"]) == 5
    assert found[0] == found[60] == found[200] == found[400]
