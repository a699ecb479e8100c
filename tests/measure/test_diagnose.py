"""Why a case fails: the table of rules, and cases whose cause is known because the model was made so."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tuneworthy.answering import Answerer, Sources
from tuneworthy.content import digest
from tuneworthy.measure import diagnose as diagnosing
from tuneworthy.measure.causes import POINTS_TO, Cause, Outcomes, classify
from tuneworthy.measure.diagnose import Interventions, diagnose
from tuneworthy.measure.evaluate import Yardstick, measure
from tuneworthy.measure.interventions import Reasoning, _deranged, shaped, shuffled_targets
from tuneworthy.measure.passages import find_gold
from tuneworthy.models.scripted import Scripted
from tuneworthy.project import Project, open_project
from tuneworthy.records import Arm, Candidate, Case, Constraint, Example, Prompt, Request, RetrieverRef, Shots
from tuneworthy.scorers.open import open_scorers
from tuneworthy.usecase import Output, UseCase

# --- the table ---

ALL_RUN: dict[str, Any] = {  # every arm was run and failed
    **dict.fromkeys(Outcomes._fields, False),
    "shaped": True,
    "repeats": (False,) * 5,
}
FACTS = {"gold": True, "distractor": False}


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"base": None}, "measurement"),
        ({"disputed": True}, "measurement"),
        ({"lenient": True}, "format"),
        ({"lenient": True, "shots": True, **FACTS}, "format"),  # the first match wins
        ({"shaped": False, "constrained": True}, "format"),
        ({"shots": True}, "behaviour"),
        ({"shots": True, **FACTS}, "behaviour"),
        ({**FACTS, "retrieved": True}, "knowledge"),
        ({**FACTS, "retrieved": False}, "retrieval"),
        ({"reasoned": True}, "reasoning"),
        ({"repeats": (True, False, False, False, False)}, "consistency"),
        ({"repeats": (True, True, True, True, False)}, "consistency"),
        ({"reasoned": True, "gold": None}, "reasoning"),  # room to reason alone mended it
        ({"reasoned": True, "gold": True, "distractor": True}, "unexplained"),  # the passage had mended it already
        ({"trained": True}, "skill"),
        ({"trained": True, "repeats": (True, False, False, False, False)}, "consistency"),
        ({"stronger": True}, "capability"),
        ({}, "out_of_reach"),
        ({"gold": True, "distractor": True}, "unexplained"),
        ({"shots": True, "shuffled": True}, "unexplained"),
        ({"constrained": True}, "unexplained"),  # it was readable, and wrong: another answer is no matter of form
        ({"repeats": (True,) * 5}, "unexplained"),
        # what was not tried decides nothing
        ({**FACTS, "retrieved": None}, "not_measured"),
        ({"shots": True, "shuffled": None}, "not_measured"),
        ({"shots": None, **FACTS, "retrieved": True}, "not_measured"),
        ({"stronger": None}, "unmended"),
        ({"stronger": None, "trained": None, "gold": None, "retrieved": None, "repeats": ()}, "unmended"),
        ({"stronger": None, "shots": None}, "not_measured"),
        ({"reasoned": None, "repeats": (True, False)}, "consistency"),
    ],
)
def test_the_table_of_rules(changed: dict[str, Any], cause: str) -> None:
    assert classify(Outcomes(**{"base": False, **ALL_RUN, **changed})) == cause


def test_nothing_tried_is_nothing_known() -> None:
    assert classify(Outcomes(base=False)) == "not_measured"


def test_every_cause_names_what_it_points_to() -> None:
    from typing import get_args

    assert set(POINTS_TO) == set(get_args(Cause))


# --- a world in which causes are known ---

EACH = 10
CAUSES = (
    "right", "measurement", "format", "behaviour", "knowledge",
    "retrieval", "reasoning", "consistency", "skill", "unmended",
)  # fmt: skip
USECASE = """
name = "known-causes"
description = "Questions whose failures have known causes."
instruction = "Answer the question with one word."
[input.question]
[output]
kind = "text"
[model]
base = "scripted"
[change]
knowledge = "docs"
[bar]
metric = "exact"
at_least = 0.8
smallest_difference = 0.05
[budget]
dev_calls = 500
"""


def asked_all(request: Request) -> str:
    """Everything that the model was told."""
    return "\n".join(message.content for message in request.messages)


class World:
    """Cases, documents, shots, and a model that fails each case for its own reason; `noise` flips single answers."""

    def __init__(self, folder: Path, *, noise: float = 0.0) -> None:
        draw = random.Random(3)

        def word() -> str:
            return "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(4))

        self.noise = noise
        self.cause: dict[str, str] = {}
        self.wanted: dict[str, str] = {}
        cases, documents = [], []
        for number in range(EACH * len(CAUSES)):
            cause, topic, answer = CAUSES[number % len(CAUSES)], word(), word()
            down = " (down)" if cause == "measurement" and number % 20 == 1 else ""  # the others have a wrong answer
            question = f"What belongs to {topic}{down}?"
            asked_by = word() if cause == "retrieval" else topic  # a passage that shares no word with its question
            evidence = f"In the book of {asked_by} one reads {answer}."
            documents.append(f"# {word()}\n\n{evidence}\n")
            if cause == "retrieval":
                documents.append(f"# {word()}\n\nNobody knows {topic} and nobody asks.\n")
            self.cause[question], self.wanted[question] = cause, answer
            told = word() if cause == "measurement" else answer
            cases.append(Case(id=f"c{number:03}", input={"question": question}, expected=told, evidence=evidence))
        self.cases = tuple(cases)
        self.evidence = {str(case.input["question"]): case.evidence for case in cases}
        self.pool = tuple(Example(input={"question": f"What belongs to {word()}?"}, expected=word()) for _ in range(20))
        self.taught = {str(e.input["question"]): str(e.expected) for e in self.pool}
        folder.mkdir()
        (folder / "docs").mkdir()
        for number, text in enumerate(documents):
            (folder / "docs" / f"{number:03}.md").write_text(text, "utf-8")
        (folder / "usecase.toml").write_text(USECASE, "utf-8")
        self.project: Project = open_project(folder)
        self.model = Scripted(self.reply, failing={"(down)": "timeout"})
        self.sources = Sources(self.project.usecase, folder, self.model, pool=self.pool, data_version="v")
        self.yardstick = Yardstick(open_scorers(self.project.usecase)[0])

    def reply(self, request: Request) -> str:
        asked = request.messages[-1].content
        question = asked.rsplit("Question: ", 1)[1].split("\n")[0]
        cause, right = self.cause[question], self.wanted[question]
        answers = self.knows(cause, question, request)
        if random.Random(digest(request.model_dump(mode="json"))).random() < self.noise:
            answers = not answers
        if cause == "format":
            return f'"{right}".' if answers else right
        if cause == "reasoning" and answers:
            return f"The book of the topic says so.\n\n{right}"
        return right if answers else "unknown"

    def knows(self, cause: str, question: str, request: Request) -> bool:
        if cause == "behaviour":
            turns = zip(request.messages[:-1:2], request.messages[1::2], strict=False)
            shown = [(user.content.rsplit("Question: ", 1)[1], told.content) for user, told in turns]
            return bool(shown) and all(self.taught[asked] == told for asked, told in shown)
        if cause in ("knowledge", "retrieval"):
            return self.evidence[question] in request.messages[-1].content
        if cause == "reasoning":
            return "step by step" in request.messages[-1].content and self.evidence[question] in asked_all(request)
        if cause == "skill":
            return request.messages[0].content.startswith("Trained.")
        if cause == "consistency":
            return request.decoding.temperature > 0 and request.decoding.seed % 2 == 1
        return cause in ("right", "format", "measurement")

    def of(self, question: str) -> str:
        """The id of the case with this question."""
        return next(case.id for case in self.cases if case.input["question"] == question)

    @property
    def base(self) -> Candidate:
        return Candidate(lever="prompt", model=self.model.digest, prompt=Prompt(name="plain", instruction="Answer."))

    def interventions(self) -> Interventions:
        shots = Shots(pick="fixed", k=3, names=tuple(e.name for e in self.pool[:3]), data_version="v")
        ref = RetrieverRef(name="bm25", docs=self.project.docs_digest, top_k=1)
        return Interventions(
            base=self.base,
            shots=self.base.model_copy(update={"shots": shots}),
            retrieved=self.base.model_copy(update={"retriever": ref}),
            levers={"lora": self.trained()},
            trained=("lora",),
            disputed=frozenset(
                case.id for case in self.cases if case.expected != self.wanted[str(case.input["question"])]
            ),
        )

    def trained(self) -> Arm:
        """A trained lever: another prompt stands for it, since a scripted model has no weights."""
        prompt = Prompt(name="plain", instruction="Trained. Answer.")
        answerer = Answerer(self.base.model_copy(update={"prompt": prompt}), self.sources)
        return measure("lora", answerer, self.cases, self.yardstick, cases_digest="dev:v", store=self.project.answers)

    def diagnosis(self) -> diagnosing.Diagnosis:
        return diagnose(self.interventions(), self.cases, self.sources, self.yardstick, self.project)


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def confusion(world: World, found: diagnosing.Diagnosis) -> Counter[tuple[str, str]]:
    by_id = {case.id: world.cause[str(case.input["question"])] for case in world.cases}
    return Counter((by_id[detail.case], detail.cause) for detail in found.details)


def test_known_causes_are_all_found_where_nothing_is_left_to_chance(world: World) -> None:
    found = world.diagnosis()
    assert found.cases == EACH * len(CAUSES)
    assert found.failed == EACH * (len(CAUSES) - 1)
    assert confusion(world, found) == {(cause, cause): EACH for cause in CAUSES if cause != "right"}
    assert [share.cause for share in found.shares] == [c for c in POINTS_TO if c in CAUSES]


def test_most_causes_are_found_where_one_answer_in_thirty_flips(tmp_path: Path) -> None:
    """Of the failed cases that failed for their own reason, at least 85 % get it."""
    world = World(tmp_path / "noisy", noise=1 / 30)
    counts = confusion(world, world.diagnosis())
    right = sum(count for (true, found), count in counts.items() if true == found)
    known = sum(count for (true, _), count in counts.items() if true != "right")
    assert right / known >= 0.85, dict(counts)
    assert right < known  # the noise was felt


def test_shares_are_of_the_failed_cases_with_intervals_and_name_a_lever(world: World) -> None:
    found = world.diagnosis()
    knowledge = next(share for share in found.shares if share.cause == "knowledge")
    assert (knowledge.cases, knowledge.points_to) == (EACH, "retrieval")
    assert knowledge.share.value == pytest.approx(EACH / found.failed)
    assert knowledge.share.low < knowledge.share.value < knowledge.share.high
    assert sum(share.cases for share in found.shares) == found.failed
    assert "knowledge 11 % (" in found.sentence()
    skill = next(share for share in found.shares if share.cause == "skill")
    assert [(shown.lever, shown.passed) for shown in skill.shown] == [("lora", EACH)]


def test_contrasts_are_paired_over_passed_and_failed_cases_and_adjusted(world: World) -> None:
    found = {c.candidate: c for c in world.diagnosis().contrasts}
    assert set(found) == {"lenient", "shots", "gold", "majority of repeats"}
    scored = EACH * len(CAUSES) - sum("(down)" in question for question in world.cause)
    assert {c.n for c in found.values()} == {scored}
    assert found["gold"].wins == 2 * EACH  # knowledge and retrieval
    assert found["lenient"].wins == found["shots"].wins == EACH
    assert found["majority of repeats"].wins == EACH  # seeds 1, 3 and 5 of 5
    assert all(c.losses == 0 and not c.registered for c in found.values())
    assert all(c.p_adjusted is not None and c.p_adjusted >= c.p for c in found.values())


def test_what_was_not_at_hand_is_said_and_decides_nothing(world: World) -> None:
    alone = Interventions(base=world.base)
    found = diagnose(alone, world.cases, world.sources, world.yardstick, world.project)
    assert {"constrained", "shots", "shuffled", "retrieved"} < set(found.not_tried)
    causes = {cause: sum(n for (_, c), n in confusion(world, found).items() if c == cause) for cause in CAUSES}
    assert causes["behaviour"] == causes["knowledge"] == causes["retrieval"] == 0
    assert causes["format"] == causes["consistency"] == EACH


def test_a_second_diagnosis_asks_nothing_but_what_failed_in_the_channel(world: World) -> None:
    first = world.diagnosis()
    world.model._reply = lambda request: pytest.fail("asked again")  # type: ignore[assignment]
    assert world.diagnosis() == first


def test_no_intervention_takes_more_answers_than_the_budget(world: World) -> None:
    counted: Counter[str] = Counter()
    budget = world.project.usecase.budget.model_copy(update={"dev_calls": 30})
    usecase: UseCase = world.project.usecase.model_copy(update={"budget": budget})
    sources = Sources(usecase, world.project.folder, world.model, pool=world.pool, data_version="v")

    def progress(what: str, done: int, total: int) -> None:
        counted[what] = total

    found = diagnose(world.interventions(), world.cases, sources, world.yardstick, world.project, on_progress=progress)
    repeats = sum(total for what, total in counted.items() if "repeat" in what)
    assert repeats <= 30
    assert all(total <= 30 for what, total in counted.items() if what != "diagnosis: prompt")
    assert found.answers == sum(total for what, total in counted.items() if what != "diagnosis: prompt")


def test_a_base_that_never_fails_has_nothing_to_explain(tmp_path: Path) -> None:
    world = World(tmp_path / "perfect")
    right = [case for case in world.cases if world.cause[str(case.input["question"])] == "right"]
    found = diagnose(world.interventions(), right, world.sources, world.yardstick, world.project)
    assert (found.failed, found.shares) == (0, ())
    assert found.sentence() == f"the base fails on none of {EACH} development cases"


# --- parts ---


def test_graded_scores_pass_at_the_bar(world: World) -> None:
    bar = world.project.usecase.bar.model_copy(update={"metric": "squad_f1"})
    usecase = world.project.usecase.model_copy(update={"bar": bar})
    sources = Sources(usecase, world.project.folder, world.model, data_version="v")
    found = diagnose(
        Interventions(world.base), world.cases[:8], sources, Yardstick(open_scorers(usecase)[0]), world.project
    )
    assert found.passes_at == 0.8


def test_shuffled_shots_keep_inputs_and_targets_but_no_pair(world: World) -> None:
    shots = world.interventions().shots
    assert shots is not None
    candidate, sources = shuffled_targets(shots, world.sources)
    assert [e.input for e in sources.pool] == [e.input for e in world.pool]
    assert sorted(str(e.expected) for e in sources.pool) == sorted(str(e.expected) for e in world.pool)
    assert all(a.expected != b.expected for a, b in zip(sources.pool, world.pool, strict=True))
    assert candidate.shots is not None
    assert [sources.by_name[name].input for name in candidate.shots.names] == [e.input for e in world.pool[:3]]
    assert sources.data_version == candidate.shots.data_version != "v"


@pytest.mark.parametrize("counts", [(5, 5, 5), (2, 1), (7, 3), (1,), (3, 3, 1, 1)])
def test_a_shuffle_moves_as_many_as_can_be_moved(counts: tuple[int, ...]) -> None:
    values = [label for label, count in enumerate(counts) for _ in range(count)]
    moved = _deranged(values, seed=1)
    n = len(values)
    stay = sum(a == b for a, b in zip(values, moved, strict=True))
    assert Counter(moved) == Counter(values)
    assert stay == max(0, 2 * max(counts) - n)


def test_gold_is_the_documents_passage_that_holds_the_evidence(world: World) -> None:
    gold = find_gold(world.cases[:5], world.sources)
    for case in world.cases[:5]:
        assert case.evidence in gold.passages[case.id].text
        assert gold.passages[case.id].title  # a document's passage, as retrieval would bring it
        assert str(case.expected) not in gold.distractors[case.id].text
    assert gold.origin == "evidence of 5 of 5 cases"


def test_without_evidence_gold_is_the_passage_that_holds_the_answer(world: World) -> None:
    right = [case for case in world.cases if case.id not in world.interventions().disputed][:5]
    bare = [case.model_copy(update={"evidence": ""}) for case in right]
    gold = find_gold(bare, world.sources)
    assert all(case.evidence in gold.passages[case.id].text for case in right)
    assert "hold the expected answer, for 5 of 5" in gold.origin


def test_an_answer_of_one_line_used_no_room_to_reason(world: World) -> None:
    question = next(q for q, cause in world.cause.items() if cause == "reasoning")
    given = {digest({"question": question}): find_gold(world.cases, world.sources).passages[world.of(question)]}
    answerer = Reasoning(world.base, world.sources, given)
    assert [answer.text for answer in answerer.answer([{"question": question}])] == [world.wanted[question]]
    other = next(q for q, cause in world.cause.items() if cause == "right")
    assert [answer.text for answer in answerer.answer([{"question": other}])] == [""]


def test_without_documents_and_evidence_there_is_no_gold(world: World) -> None:
    change = world.project.usecase.change.model_copy(update={"knowledge": "none"})
    usecase = world.project.usecase.model_copy(update={"change": change})
    sources = Sources(usecase, world.project.folder, world.model, data_version="v")
    bare = [case.model_copy(update={"evidence": ""}) for case in world.cases[:3]]
    assert find_gold(bare, sources).problem == "the examples carry no evidence, and there are no documents"
    alone = find_gold(world.cases[:3], sources)  # the evidence of one is the distractor of another
    assert {p.text for p in alone.distractors.values()} <= {case.evidence for case in world.cases[:3]}


@pytest.mark.parametrize(
    ("output", "text", "there"),
    [
        (Output(kind="label", labels=("a", "b")), "It is a.", True),
        (Output(kind="label", labels=("a", "b")), "Neither", False),
        (Output(kind="json", json_schema={}), 'Sure: {"a": 1}', True),
        (Output(kind="json", json_schema={}), "a is 1", False),
        (Output(kind="text"), " \n", False),
    ],
)
def test_shape(output: Output, text: str, there: bool) -> None:
    assert shaped(output, text) is there


def test_an_answer_without_form_that_the_constraint_mends_is_a_matter_of_format(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    toml = USECASE.replace('kind = "text"', 'kind = "label"\nlabels = ["left", "right"]').replace(
        "exact", "classification"
    )
    (folder / "usecase.toml").write_text(toml.replace('knowledge = "docs"', 'knowledge = "none"'), "utf-8")
    project = open_project(folder)
    model = Scripted(lambda request: "right" if request.constraint else "I would rather not say")
    base = Candidate(lever="prompt", model=model.digest, prompt=Prompt(name="plain", instruction="Which side?"))
    constraint = Constraint(kind="labels", labels=("left", "right"))
    cases = [Case(id=str(n), input={"question": f"side {n}"}, expected="right") for n in range(4)]
    found = diagnose(
        Interventions(base, constrained=base.model_copy(update={"constraint": constraint})),
        cases,
        Sources(project.usecase, folder, model, data_version="v"),
        Yardstick(open_scorers(project.usecase)[0]),
        project,
    )
    assert [share.cause for share in found.shares] == ["format"]
