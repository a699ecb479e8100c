"""The nouns that stages exchange: frozen, typed, serialisable; names, arguments and hashes, never live objects.

Example ─┐                       Lever ─→ Candidate ─→ (answer) ─→ Answer ─→ (scorer) ─→ Score
Dataset  ├─ data                                                      └──── CaseResult ────┘
Case  ───┘                                                                      │
                                   Verdict ←─ Comparison ←─ two Arms ←──────── Arm
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from tuneworthy.content import digest

Input = Mapping[str, JsonValue]
"""One input: field name → text, number or boolean, in the shape that the use case declares."""

LeverName = str
"""prompt, few_shot, constrained, classifier, rag, lora, rag_lora, full, or the name of a plug-in."""

UnscoredReason = Literal[
    "parse",
    "judge_refused",
    "judge_truncated",
    "content_filter",
    "timeout",
    "transport",
    "missing_expected",
    "not_told",
]
"""Why a case has no score. The closed list of evidence/statistics, section 8: the scorer or the channel failed, or the
channel did not tell what is to be scored (time, tokens).
A malformed answer of the model is not in it: that is a score of 0."""


class Record(BaseModel):
    """Frozen, unknown keys refused, named by the hash of its content."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ignored_types=(cached_property,), use_attribute_docstrings=True
    )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of this record."""
        return digest(self.model_dump(mode="json"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed. Names that were already worked out are not taken along: pydantic would copy
        them, and the changed record would carry the name of the old one."""
        copied = super().model_copy(update=update, deep=deep)
        for name in set(copied.__dict__) - set(type(self).model_fields):
            del copied.__dict__[name]
        return copied


# --- data ----------------------------------------------------------------------------------------


class Provenance(Record):
    """Where a row came from."""

    source: str
    """file name, relative to the project where possible"""
    line: int = 0
    """1-based line of a text file, row number of a table; 0 = not known"""
    format: str = ""
    licence: str = ""
    date: str = ""
    """when the row came about, ISO 8601 where the source says it so"""
    model: str = ""
    """the model whose answer the output is, where no person has judged it"""


class Example(Record):
    """One row to learn from."""

    input: dict[str, JsonValue]
    expected: JsonValue
    """a label or text (str), or a JSON object, as the output of the use case says"""
    evidence: str = ""
    """the passage that holds the facts, where the row has one: the diagnosis shows it to the model"""
    cluster: str = ""
    """rows that share a conversation, document or customer are one cluster, which stays whole; empty = its own"""
    provenance: Provenance = Provenance(source="")

    @cached_property
    def name(self) -> str:
        """16 hexadecimal digits of the hash of input and expected output; nothing else counts."""
        return digest({"input": self.input, "expected": self.expected})[:16]


class Case(Record):
    """One row to be judged on."""

    id: str
    input: dict[str, JsonValue]
    expected: JsonValue = None
    evidence: str = ""
    """the passage that holds the facts, written by the owner of the case; empty where none is needed"""
    tags: tuple[str, ...] = ()
    cluster: str = ""
    """cases that share a document, customer or near-duplicate group are one cluster; empty = its own"""


class Dataset(Record):
    """The manifest of one version of examples; the rows lie beside it."""

    version: str
    """hash over the sorted names of the rows: the same data in another order is the same version"""
    rows: int
    exact_duplicates: int
    sources: tuple[str, ...]


class Feedback(Record):
    """What a person said about one answer."""

    rating: Literal["good", "bad", ""] = ""
    correction: str = ""
    """the answer that was wanted"""
    who: str = ""
    note: str = ""


class Trace(Record):
    """One answer as the gateway gave it: one line of an exported .jsonl, which `data import` reads.

    `request` and `response` are the bodies of OpenAI's chat completions, the request as the client sent it, before
    instruction, examples and passages were put around it.
    """

    id: str
    when: str
    """ISO 8601, UTC"""
    request: dict[str, JsonValue]
    """`model`, `messages`: role, content; …"""
    response: dict[str, JsonValue]
    """`choices`: message, finish_reason; `model`; `usage`; or `error`. Without content kept: no messages"""
    release: str = ""
    """what answered"""
    conversation: str = ""
    """traces of one conversation share it; empty = told by its first exchange"""
    feedback: Feedback | None = None
    alias: str = ""
    """what was asked for"""
    client: str = ""
    """name of the key that asked; empty where the gateway has no keys"""
    outcome: str = "ok"
    """ok, or why there is no answer: timeout, full, transport, …"""
    seconds: float = 0.0
    """until the answer"""
    passages: tuple[str, ...] = ()
    """ids of the passages that were put before the model"""
    measured: dict[str, JsonValue] = {}
    """sizes, language, classes: what is known of request and answer where their content is not kept"""
    scores: dict[str, float] = {}
    """scorers of the suite that need no expected output → value"""


# --- asking a model ------------------------------------------------------------------------------


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Constraint(Record):
    """What the output is forced to be while it is decoded."""

    kind: Literal["labels", "json_schema"]
    labels: tuple[str, ...] = ()
    json_schema: dict[str, JsonValue] | None = None
    how: Literal["decode", "score"] = "decode"
    """labels only: `decode` = greedy under a grammar; `score` = the label with the highest total log-probability"""


class Decoding(Record):
    """How text is generated. The same for every arm of a comparison, but for the seed."""

    max_tokens: int = 128
    temperature: float = 0.0
    """0 = greedy"""
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


class Request(Record):
    """One question to a model."""

    messages: tuple[Message, ...]
    decoding: Decoding = Decoding()
    constraint: Constraint | None = None


class Completion(Record):
    """What a model said, or why it did not."""

    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    """wall time of this answer; in a batch, the batch's time divided by its rows"""
    finish: Literal["stop", "length", "error"] = "stop"
    error: UnscoredReason | None = None
    detail: str = ""
    too_long: bool = False
    """the input did not fit the context: not asked, and judged as an empty answer"""


# --- candidates ----------------------------------------------------------------------------------


class Prompt(Record):
    """The wording of a prompt. One renderer (answering.render) lays it out for every arm."""

    name: str
    instruction: str
    """complete text before the input, the output contract included"""
    system: str = ""
    reminder: str = ""
    """text after the input, just before the answer"""


class Shots(Record):
    """Worked examples in the prompt."""

    pick: Literal["fixed", "nearest"]
    k: int
    layout: Literal["turns", "inline"] = "turns"
    """`turns` = earlier user/assistant turns; `inline` = Input/Output pairs inside the one user message"""
    names: tuple[str, ...] = ()
    """names of the examples when fixed"""
    data_version: str
    """the examples that may be picked"""


class RetrieverRef(Record):
    """Which passages are put before the model."""

    name: str
    """bm25, dense, hybrid, or a plug-in"""
    docs: str
    """digest of the documents' content"""
    top_k: int
    chunk_words: int = 80
    """longest passage in words"""


class AdapterRef(Record):
    """LoRA weights."""

    weights: str
    """digest of adapter_config.json and adapter_model.safetensors"""
    path: str
    """folder, relative to the project; where it lies, while `weights` says what it is"""
    scale: float = 1.0
    """1 = as trained; below 1 the adapter is weakened"""


class TunedRef(Record):
    """Weights of a fully tuned model."""

    weights: str
    """digest of config.json and model.safetensors"""
    path: str
    """folder, relative to the project"""


class ClassifierRef(Record):
    """A plain classifier: no language model."""

    features: Literal["tfidf", "embeddings"]
    c: float
    """inverse regularisation strength of the logistic regression"""
    data_version: str
    embedder: str = ""


class Candidate(Record):
    """What answers, all by reference. `answering.Answerer` turns it into answers."""

    lever: LeverName
    model: str
    """digest of the base model (weights, tokenizer, chat template), or of the endpoint; `none` for a classifier"""
    prompt: Prompt | None = None
    shots: Shots | None = None
    constraint: Constraint | None = None
    retriever: RetrieverRef | None = None
    adapter: AdapterRef | None = None
    tuned: TunedRef | None = None
    classifier: ClassifierRef | None = None
    decoding: Decoding = Decoding()


# --- measuring -----------------------------------------------------------------------------------


class Score(Record):
    """A value in [0, 1], or unscored with a reason; never both."""

    value: float | None = Field(default=None, ge=0.0, le=1.0)
    unscored: UnscoredReason | None = None
    explanation: str = ""
    parts: dict[str, float] = {}
    """e.g. per field of an extraction"""

    def model_post_init(self, context: Any) -> None:
        if (self.value is None) == (self.unscored is None):
            raise ValueError("a score has a value or a reason for having none, and not both")


class JudgedAnswer(Record):
    """What a person says of one answer: right or wrong."""

    input: dict[str, JsonValue]
    output: str
    """the answer that was judged"""
    right: bool
    expected: JsonValue = None
    """the expected output, where the judge is to see it as well"""
    evidence: str = ""
    arm: str = ""
    """whose answer it is, where that is known: a judge may err more on one arm than on another"""
    by: str = ""
    why: str = ""


class Vote(Record):
    """What a person says of two answers to one input, without knowing whose they are."""

    input: dict[str, JsonValue]
    one: str
    two: str
    better: Literal["one", "two", "tie"]
    pair: str = ""
    """names the pair; the key says which arm wrote which"""
    evidence: str = ""
    by: str = ""
    why: str = ""


class Passage(Record):
    """A retrieved piece of a document."""

    id: str
    """`file#number`, what an answer cites"""
    title: str
    text: str
    score: float = 0.0


class Answer(Record):
    """What a candidate answered to one input."""

    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length", "error"] = "stop"
    error: UnscoredReason | None = None
    detail: str = ""
    too_long: bool = False
    """the input did not fit the context: not asked, and judged as an empty answer"""
    passages: tuple[str, ...] = ()
    """ids of the passages that were put before the model"""


class CaseResult(Record):
    """One case answered and scored."""

    case: str
    answer: Answer
    score: Score
    """the primary scorer of the bar, strict"""
    lenient: Score
    """the same answer, read leniently (fences and prose stripped, label aliases): separates format from content"""
    others: dict[str, Score] = {}
    """further scorers of the suite by name"""
    evidence_found: bool | None = None
    """was the case's evidence among the retrieved passages; None where there is none to find"""


class Arm(Record):
    """One candidate measured on one set of cases."""

    name: str
    """lever, plus `/seed-1` and the like where one lever has several arms"""
    candidate: Candidate
    cases: str
    """digest of the suite lock, or `dev:<version>` on the development split"""
    results: tuple[CaseResult, ...]
    exploratory: bool = False
    """a second opening of the locked cases: it cannot support `tune`"""

    def scores(self, *, lenient: bool = False) -> dict[str, float]:
        """case id → score, scored cases only."""
        chosen = {r.case: (r.lenient if lenient else r.score).value for r in self.results}
        return {case: value for case, value in chosen.items() if value is not None}

    @property
    def unscored(self) -> dict[str, UnscoredReason]:
        """case id → reason, unscored cases only."""
        return {r.case: r.score.unscored for r in self.results if r.score.unscored is not None}


class Interval(Record):
    """A point with its limits."""

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""


class Calibration(Record):
    """A judge held against people on the same answers."""

    judge: str
    """digest of the judge: model, rubric, prompt, shape of the task"""
    labels: str
    """digest of the file with what people said"""
    n: int
    """answers that both have judged; several people on one answer count once, by their majority"""
    right: int
    """of them, right in the eyes of people"""
    split: int = 0
    """answers left out because people were evenly split"""
    unscored: dict[str, int] = {}
    """reason → answers that the judge could not judge"""
    agreement: Interval
    kappa: Interval | None
    """agreement beyond chance; None where one of the two used one verdict only"""
    base_rate: Interval
    """share right in the eyes of people"""
    judged_right: Interval
    """share right in the eyes of the judge"""
    sensitivity: Interval | None
    """of what people call right, the share that the judge calls right; None without any"""
    specificity: Interval | None
    """of what people call wrong, the share that the judge calls wrong"""
    same_again: Interval
    """verdicts that stay when the same question is asked twice"""
    order_kept: Interval
    """verdicts that stay when the order is swapped: of the answers (pairwise), of the words right and wrong (rubric)"""
    first_preferred: Interval | None
    """of the verdicts that do not stay, the share that goes to what is named first both times; None without any"""
    order_p: float = 1.0
    """two-sided sign test of the same"""
    length_correlation: float | None = None
    """correlation of the judge's verdict with the rank of the answer's length (pairwise: of the difference in length),
    among answers that people see alike; None where one of them does not vary"""
    length_p: float | None = None
    obeyed: Interval | None = None
    """of the wrong answers that the judge finds wrong, the share that passes once the answer itself asks to be called
    right; None without any, and pairwise"""
    arms: dict[str, Interval] = {}
    """arm → share of its answers on which judge and people agree, where labels name their arm"""
    arms_p: float | None = None
    """smallest p, after Holm, that the judge errs differently on two arms; None below two arms"""
    problems: tuple[str, ...] = ()
    """why this judge may not carry the bar; empty = it may"""
    warnings: tuple[str, ...] = ()


class CorpusDifference(Record):
    """BLEU or chrF of all answers of two arms together, on the scale 0 to 100 of papers. Descriptive."""

    metric: str
    n: int
    """cases scored in both arms"""
    reference: float
    candidate: float
    difference: Interval | None
    """candidate minus reference; None below 100 cases, and where cases share clusters"""
    p: float | None
    """two-sided p of sacrebleu's approximate randomisation; None where cases share clusters"""
    signature: str
    """sacrebleu's: what makes the numbers comparable"""
    note: str = ""


class Comparison(Record):
    """Two arms, paired by case: candidate minus reference."""

    reference: str
    candidate: str
    n: int
    """cases scored in both arms"""
    difference: Interval | None
    """None when no interval can be given (evidence/statistics, section 6, zero variance)"""
    p: float
    """two-sided p of the primary test"""
    test: str
    """`mid-p McNemar` or `sign-flip permutation`"""
    p_exact: float | None = None
    """exact conditional McNemar, binary scores only"""
    p_adjusted: float | None = None
    """after Holm, where the contrast belongs to a family"""
    tango: Interval | None = None
    """Tango's score interval beside Newcombe's, binary scores only"""
    wins: int
    """cases where the candidate is better"""
    losses: int
    dropped: int
    """cases unscored in at least one arm"""
    worst_case: float
    """difference if the candidate's unscored cases were 0 and the reference's were 1"""
    sd: float = 0.0
    """standard deviation of the per-case differences"""
    registered: bool = True
    note: str = ""
    """a sentence that replaces the p-value when too few cases differ to reach alpha"""
    corpus: CorpusDifference | None = None
    """where the metric is BLEU or chrF and `compare` was asked; None otherwise"""


class LeverResult(Record):
    """What became of one lever in a run: measured, or not tried and why."""

    lever: LeverName
    state: Literal["measured", "not_tried", "not_applicable", "failed"]
    reason: str = ""
    trials: tuple[dict[str, JsonValue], ...] = ()
    """what was tried on the development split: settings and scores"""
    dev_score: float | None = None
    cost: dict[str, float] = {}
    """seconds of tuning and training, tokens per answer, …; measured only"""
