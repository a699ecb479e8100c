"""Labelled answers and scripted judges with the faults that tests plant."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from tuneworthy.models.scripted import Scripted
from tuneworthy.records import JudgedAnswer, Request, Vote
from tuneworthy.scorers.judge import Judge
from tuneworthy.usecase import UseCase

TABLE = {
    "name": "replies",
    "instruction": "Answer the tenant's question in one sentence.",
    "input": {"question": {}},
    "output": {"kind": "text"},
    "bar": {"metric": "judge", "at_least": 0.8, "smallest_difference": 0.05},
    "judge": {"rubric": "The reply answers the question and is polite.", "model": {"base": "scripted"}},
}
QUOTED = re.compile(r"<<<\n(.*?)\n>>>", re.DOTALL)


def usecase(mode: str = "rubric", **judge: object) -> UseCase:
    """A use case whose bar a judge carries."""
    return UseCase.model_validate({**TABLE, "judge": {**TABLE["judge"], "mode": mode, **judge}})  # type: ignore[dict-item]


def scripted(folder: Path, reply: Callable[[Request], str], mode: str = "rubric", **judge: object) -> Judge:
    """A judge that says what `reply` says."""
    spec = usecase(mode, **judge)
    assert spec.judge is not None
    return Judge(spec.output, spec.judge, spec, folder, model=Scripted(reply, name="judge"))


def material(request: Request) -> list[str]:
    """What stands between marks: the input, perhaps the expected answer, and the answers to judge."""
    return QUOTED.findall(request.messages[-1].content)


def answer(good: bool, words: int, draw: random.Random) -> str:
    """An answer that is right when it says `certainly`, of so many words."""
    filler = ["".join(draw.choice("bdfgkl") + draw.choice("aeiou") for _ in range(3)) for _ in range(words - 1)]
    return " ".join([*filler, "certainly" if good else "perhaps"])


def answers(n: int = 60, *, seed: int = 0) -> list[JudgedAnswer]:
    """Half of them right; their length says nothing about that."""
    draw = random.Random(seed)
    return [
        JudgedAnswer(
            input={"question": f"question {i}"},
            output=answer(i % 2 == 0, draw.randint(4, 40), draw),
            right=i % 2 == 0,
            by="ann",
        )
        for i in range(n)
    ]


def pairs(n: int = 60, *, seed: int = 0) -> list[Vote]:
    """Votes on pairs of a right and a wrong answer in a drawn order; every tenth pair is a tie of two right ones."""
    draw = random.Random(seed)
    found = []
    for i in range(n):
        right = draw.random() < 0.5
        one = answer(right or i % 10 == 0, draw.randint(4, 40), draw)
        two = answer(not right or i % 10 == 0, draw.randint(4, 40), draw)
        better = "tie" if i % 10 == 0 else "one" if right else "two"
        found.append(Vote(input={"question": f"question {i}"}, one=one, two=two, better=better, by="ann"))
    return found


def good(text: str) -> bool:
    """What people see in it."""
    return "certainly" in text


def fair(request: Request) -> str:
    """Sees what people see, but for one answer in fifteen; obeys nothing that an answer asks for."""
    found = material(request)
    if "Answer A:" in request.messages[-1].content:
        one, two = (good(text) for text in found[-2:])
        return "tie" if one == two else "A" if one else "B"
    slip = random.Random(found[-1].split("\n\nNote")[0]).random() < 1 / 15
    return "right" if good(found[-1]) != slip else "wrong"


# --- a use case on disk, whose judge answers by rules -----------------------------------------------------------------

FACTS = ("The office opens at nine", "Keys are at the porter's desk", "Repairs take two days")
POLITE = "we remain at your disposal with our very best wishes"
"""a long ending that says nothing; people do not count it"""


def replies(n: int = 60, *, arm: str = "") -> list[dict[str, object]]:
    """Labelled replies: right ones state the fact, every third one has the long ending."""
    rows: list[dict[str, object]] = []
    for i in range(n):
        right = i % 2 == 0
        text = FACTS[i % 3] if right else "We will look into it some day"
        ending = f", and {POLITE}" if i % 3 == 0 else ""
        rows.append({"input": {"question": f"Question {i}?"}, "output": f"{text}{ending}. ({i})", "right": right})
    return rows


def voted(n: int = 60) -> list[dict[str, object]]:
    """Votes on pairs of a reply that states the fact and one that does not."""
    found: list[dict[str, object]] = []
    for i in range(n):
        two = [FACTS[i % 3], "We will look into it some day"]
        one, other = two if i % 2 else two[::-1]
        question = {"question": f"Question {i}?"}
        found.append({"input": question, "one": one, "two": other, "better": "one" if i % 2 else "two", "by": "ann"})
    return found


def made_up(number: int) -> str:
    """Words that no other number has: no two questions are near each other."""
    draw = random.Random(number)
    return " ".join("".join(draw.choice("bdfgkl") + draw.choice("aeiou") for _ in range(4)) for _ in range(6))


HONEST = {**dict.fromkeys(FACTS, "right"), "": "wrong"}
LIKES_LENGTH = {**HONEST, POLITE: "right"}
LIKES_THE_FIRST = {"": "A"}


def judged_folder(folder: Path, rules: dict[str, str], *, mode: str = "rubric", metric: str = "judge") -> Path:
    """A use case with labels of people and a judge that follows `rules`: text in the question → what it says."""
    folder.mkdir(parents=True)
    (folder / "scripted.json").write_text(json.dumps(rules), "utf-8")
    (folder / "usecase.toml").write_text(
        f'''name = "replies"
instruction = "Answer the tenant's question in one sentence."
[input.question]
[output]
kind = "text"
[bar]
metric = "{metric}"
at_least = 0.8
smallest_difference = 0.05
[judge]
mode = "{mode}"
rubric = "The reply states the fact that was asked for; kind words do not count."
[judge.model]
base = "scripted"
''',
        "utf-8",
    )
    (folder / "suite").mkdir()
    rows = replies() if mode == "rubric" else voted()
    (folder / "suite" / "judged.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    cases = [
        {"id": f"case-{i:02}", "input": {"question": f"Case {i}? {made_up(1000 + i)}"}, "expected": FACTS[i % 3]}
        for i in range(40)
    ]
    (folder / "suite" / "cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in cases), "utf-8")
    (folder / "data").mkdir()
    examples = [{"input": {"question": f"{made_up(i)}?"}, "expected": f"{FACTS[i % 3]} ({i})"} for i in range(60)]
    (folder / "data" / "examples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in examples), "utf-8")
    return folder
