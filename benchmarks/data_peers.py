"""The data checks beside other tools, on the same rows in the same run. `python -m benchmarks.data_peers`

Needs the environment of `make peers` for SemHash and Presidio; a tool that is not installed is named as such. Each race
says how many of our findings the other has, and how many of its own we do not: speed without that says nothing.

Writes its part of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.results import write_part
from tuneworthy.data import near, shingles
from tuneworthy.data.checks import personal, presidio
from tuneworthy.data.read import read_examples

Found = tuple[set[tuple[int, int]], float]
"""(pairs of row numbers, seconds)"""
NOT_HERE = "not installed: make peers"


def main() -> None:
    write_part("data peers", "\n".join(page()))


def page() -> Iterator[str]:
    """Markdown."""
    yield "## Data checks beside other tools"
    yield ""
    names = ("tuneworthy", "semhash", "presidio-analyzer", "rensa", "datasketch", "pydantic")
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    yield f"{datetime.now(UTC):%Y-%m-%d}, {versions}. Load of the machine at the start: {os.getloadavg()[0]:.1f}."
    for title, head, rows in (
        (
            "Near-duplicates among 3,000 rows of BANKING77 with 150 planted copies",
            ("tool", "a word left out, of 50", "two letters swapped", "a greeting", "other pairs", "seconds"),
            copies(),
        ),
        (
            f"Pairs with a Jaccard of word pairs ≥ {shingles.THRESHOLD}, real rows",
            ("rows", "pairs (ours, compared exactly)", "rensa + check finds", "seconds, ours", "seconds, rensa"),
            recall_of_rensa(),
        ),
        (
            "Personal data in 1,500 synthetic texts of presidio-research",
            ("kind", "values", "ours", "Presidio", "found by Presidio only", "found by us only"),
            values(),
        ),
        (
            "100,000 JSON Lines, 700 of them bad in seven ways",
            ("reader", "bad rows found", "good rows refused", "seconds", "rows a second"),
            validation(),
        ),
    ):
        yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
        for row in rows:
            yield f"| {' | '.join(row)} |"
            sys.stderr.write(f"{row}\n")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _timed(run: Callable[[], set[tuple[int, int]]]) -> Found:
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start


# --- near-duplicates -----------------------------------------------------------------------------


def copies() -> Iterator[list[str]]:
    """Each tool as it comes; SemHash with our embedder, since its own is not an ordinary package."""
    rows, planted = _planted()
    sets = [sorted(data._shingles(text)) for text in rows]
    tools: dict[str, Callable[[], set[tuple[int, int]]]] = {
        f"ours (cosine of character counts ≥ {near.grams.THRESHOLD})": lambda: {(a, b) for a, b, _ in near.pairs(rows)},
        "rensa + check (Jaccard ≥ .7)": lambda: data._verified(data._rensa(sets), sets),
        "datasketch + check (Jaccard ≥ .7)": lambda: data._verified(data._datasketch(sets), sets),
    }
    if find_spec("semhash"):
        tools["SemHash (all-MiniLM-L6-v2, cosine ≥ .9)"] = lambda: _semhash(rows)
    else:
        yield ["SemHash", *[NOT_HERE] * 5]
    for name, tool in tools.items():
        found, seconds = _timed(tool)
        of_kind = [str(len(found & pairs)) for pairs in planted]
        yield [name, *of_kind, f"{len(found - set().union(*planted)):,}", f"{seconds:.1f}"]


def _planted() -> tuple[list[str], list[set[tuple[int, int]]]]:
    """Distinct normal texts, and the pairs (original, copy) of each kind."""
    originals = list(dict.fromkeys(near.normal(text) for text, _ in data._distinct(3_000, 1)[0]))
    dice, rows, planted = random.Random(12), list(originals), []
    for change in (_without, _swapped, lambda dice, text: f"hello, {text} thanks"):
        pairs = set()
        for number in range(50):
            pairs.add((number, len(rows)))
            rows.append(near.normal(change(dice, originals[number])))
        planted.append(pairs)
    return rows, planted


def _without(dice: random.Random, text: str) -> str:
    words = text.split()
    del words[dice.randrange(len(words))]
    return " ".join(words)


def _swapped(dice: random.Random, text: str) -> str:
    place = dice.randrange(len(text) - 1)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _semhash(rows: Sequence[str]) -> set[tuple[int, int]]:
    """It names one partner per row that it takes out."""
    from semhash import SemHash

    from tuneworthy.retrievers.embedders import open_minilm

    embedder = open_minilm()

    class Encoder:
        def encode(self, texts: Sequence[str], **settings: Any) -> Any:
            return embedder.embed(list(texts))

    place = {text: number for number, text in enumerate(rows)}
    found = SemHash.from_records(list(rows), model=Encoder()).self_deduplicate(threshold=0.9)
    pairs = [(place[record.record], place[record.duplicate_of]) for record in found.filtered]
    return {(min(pair), max(pair)) for pair in pairs}


def recall_of_rensa() -> Iterator[list[str]]:
    """Whether signatures find what comparing exactly does: on real rows, not on copies of invented ones."""
    dolly = data.SHARED / "data" / "dolly15k" / "dolly-15k-en.jsonl"
    told = [json.loads(line) for line in dolly.read_text("utf-8").splitlines()]
    for name, texts in (
        ("BANKING77", [text for part in ("train", "test") for text, _ in data.banking(part)]),
        ("Dolly, the first 300 characters", [f"{row['instruction']} {row['context']}"[:300] for row in told]),
    ):
        rows = [text for text in dict.fromkeys(map(near.normal, texts)) if len(text.split()) > 1]
        sets = [sorted(data._shingles(text)) for text in rows]
        matrix_rows = [" ".join(text.split()) for text in rows]
        ours, seconds = _timed(lambda rows=matrix_rows: data._ours(rows))  # type: ignore[misc]
        ours = data._verified(ours, sets)  # we count words, rensa is given what white space divides
        theirs, taken = _timed(lambda sets=sets: data._verified(data._rensa(sets), sets))  # type: ignore[misc]
        share = f"{len(theirs & ours):,} ({100 * len(theirs & ours) / len(ours):.1f} %)"
        yield [f"{name}: {len(rows):,}", f"{len(ours):,}", share, f"{seconds:.1f}", f"{taken:.1f}"]


# --- personal data -------------------------------------------------------------------------------

KINDS = {
    "EMAIL_ADDRESS": "e-mail",
    "US_SSN": "us_social_number",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "IP_ADDRESS": "ip_address",
    "PHONE_NUMBER": "phone",
}


def values() -> Iterator[list[str]]:
    """A hit covers more than half of the value. Found / hits that are right, of all hits of the kind."""
    path = data.SHARED / "data" / "presidio" / "data" / "synth_dataset_v2.json"
    texts = json.loads(path.read_text("utf-8"))
    ours, seconds = _hits(lambda text: [(hit.kind, hit.start, hit.end) for hit in personal.find(text)], texts)
    if not find_spec("presidio_analyzer"):
        yield ["Presidio", *[NOT_HERE] * 5]
        return
    analyzer = _presidio()

    def find(text: str) -> list[tuple[str, int, int]]:
        hits = presidio.find(analyzer, "en", text, list(KINDS))
        return [(KINDS[hit.kind], hit.start, hit.end) for hit in hits]

    theirs, taken = _hits(find, texts)
    for kind in KINDS.values():
        wanted = {
            (number, span["start_position"], span["end_position"])
            for number, row in enumerate(texts)
            for span in row["spans"]
            if KINDS.get(span["entity_type"]) == kind
        }
        got = [{value for value in wanted if _covered(value, side[kind])} for side in (ours, theirs)]
        told = [
            f"{len(found)}; {sum(any(_over(v, hit) for v in wanted) for hit in side[kind])} of {len(side[kind])} right"
            for found, side in zip(got, (ours, theirs), strict=True)
        ]
        yield [kind, str(len(wanted)), *told, str(len(got[1] - got[0])), str(len(got[0] - got[1]))]
    speeds = [f"{len(texts) / spent:,.0f} texts/s" for spent in (seconds, taken)]
    yield ["speed", "", *speeds, "", f"{taken / seconds:.0f} ×"]


Place = tuple[int, int, int]
"""(text, start, end)"""


def _presidio() -> Any:
    """All of its patterns, e-mail included; no language model."""
    import presidio_analyzer
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    logging.disable(logging.WARNING)
    engine = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}])
    engine.load()
    registry = presidio_analyzer.RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    return presidio_analyzer.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def _hits(
    find: Callable[[str], Sequence[tuple[str, int, int]]], texts: Sequence[dict[str, Any]]
) -> tuple[dict[str, list[Place]], float]:
    found: dict[str, list[Place]] = defaultdict(list)
    start = time.perf_counter()
    for number, row in enumerate(texts):
        for kind, first, last in find(row["full_text"]):
            found[kind].append((number, first, last))
    return found, time.perf_counter() - start


def _covered(value: Place, hits: Sequence[Place]) -> bool:
    _, start, end = value
    return any(
        number == value[0] and min(end, last) - max(start, first) > (end - start) / 2 for number, first, last in hits
    )


def _over(one: Place, two: Place) -> bool:
    return one[0] == two[0] and min(one[2], two[2]) > max(one[1], two[1])


# --- reading -------------------------------------------------------------------------------------

BAD = (
    '{"input": {"text": "a"}, "expected": "no such label"}',
    '{"input": {"text": "a"}}',
    '{"input": {"text": "a", "texts": "b"}, "expected": "card"}',
    '{"input": {"text": 7}, "expected": "card"}',
    '{"input": {"text": "a"}, "expected": "card", "expected": "cash"}',
    '{"input": {"text": "a\\ud800"}, "expected": "card"}',
    '{"input": {"text": "a"}, "expected": "card"',
)
"""unknown label, none, unknown field, a number for a text, a key twice, half of a surrogate pair, cut off"""


def validation() -> Iterator[list[str]]:
    """Ours, and the same shape as a pydantic model."""
    from typing import Literal

    from pydantic import BaseModel, ConfigDict

    class Fields(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        text: str

    class Row(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        input: Fields
        expected: Literal["card", "cash"]

    dice = random.Random(0)
    wrong = dict(zip(dice.sample(range(100_000), 100 * len(BAD)), BAD * 100, strict=True))
    texts = data.texts(2_000)
    lines = [
        wrong.get(n) or json.dumps({"input": {"text": texts[n % 2_000]}, "expected": "card"}) for n in range(100_000)
    ]

    def pydantic_only(path: Path) -> set[int]:
        found = set()
        for number, line in enumerate(path.read_bytes().splitlines()):
            try:
                Row.model_validate_json(line)
            except ValueError:
                found.add(number)
        return found

    def ours(path: Path) -> set[int]:
        reading = read_examples(path, data.usecase("label", ("card", "cash")))
        return {int(problem.where.rpartition(":")[2]) - 1 for problem in reading.problems}

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("\n".join(lines), "utf-8")
        for name, read in (("ours", ours), ("pydantic alone", pydantic_only)):
            start = time.perf_counter()
            found = read(path)
            seconds = time.perf_counter() - start
            missed = sorted({BAD.index(wrong[n]) for n in set(wrong) - found})
            told = f" (misses {', '.join(BAD[n] for n in missed)})" if missed else ""
            good = len(found - set(wrong))
            yield [name, f"{len(found & set(wrong))}{told}", str(good), f"{seconds:.1f}", f"{100_000 / seconds:,.0f}"]


if __name__ == "__main__":
    main()
