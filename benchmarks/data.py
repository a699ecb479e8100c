"""The data checks: how fast, and how much of what is planted they find. `python -m benchmarks.data`

1. All checks that need no model on 100,000 rows of 300 characters: time and peak memory.
2. Near-duplicates against datasketch and rensa at the same threshold; what each finds is compared in the same run. The
   two get their word pairs ready made, ours makes them from the text.
3. Defects of every kind planted in real rows: found, planted, and other rows of that kind. Real rows have defects of
   their own, so `others` is an upper limit of the false alarms; docs/guides/data.md tells how many were right.

Writes its part of benchmarks/RESULTS.md. The real rows are read from $TUNEWORTHY_SHARED (default: ../shared).
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.rephrased import HELD, OPEN, OPEN_HELD, SEEN
from benchmarks.results import write_part
from tuneworthy.data import shingles
from tuneworthy.data.checks import labels, leakage
from tuneworthy.data.checks import run as checks
from tuneworthy.data.findings import Batch, Finding
from tuneworthy.records import Case, Example
from tuneworthy.usecase import UseCase

SHARED = Path(os.environ.get("TUNEWORTHY_SHARED", Path(__file__).parents[1].parent / "shared"))
ROWS, CHARACTERS, COPIES = 100_000, 300, 1_000
SECONDS, GIGABYTES = 60, 2
"""the targets"""
Pairs = set[tuple[int, int]]


def main(part: str = "") -> None:
    """Everything, each part in a process of its own so that peak memory means something."""
    if part:
        sys.stdout.write(json.dumps(PARTS[part]()))
        return
    found = {}
    for name in PARTS:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.data", name], capture_output=True, text=True, check=True
        )
        found[name] = json.loads(done.stdout)
        sys.stderr.write(f"{name} done\n")
    write_part("data", "\n".join(page(found)))


def page(found: dict[str, list[list[str]]]) -> Iterator[str]:
    """Markdown."""
    names = ("tuneworthy", "numpy", "scipy", "scikit-learn", "cleanlab", "datasketch", "rensa", "py3langid")
    load = os.getloadavg()[0]
    yield "## Data checks"
    yield ""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    yield f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {', '.join(f'{name} {version(name)}' for name in names)}."
    shared = "shared with other work: times are upper limits" if load > 1.5 else "otherwise idle"
    yield ""
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    yield f"Load of the machine at the end: {load:.1f} ({shared}); OMP_NUM_THREADS={threads}."
    for title, head, part in (
        (f"All checks without a model, {ROWS:,} rows of {CHARACTERS} characters", ("check", "seconds"), "speed"),
        (
            f"Near-duplicates, Jaccard of word pairs ≥ {shingles.THRESHOLD}, the same {ROWS:,} rows",
            ("", "seconds", "pairs", "of our pairs", "pairs that we do not have", "our speed"),
            "race",
        ),
        ("Planted in real rows", ("defect", "planted", "found", "others", "another tool"), "planted"),
    ):
        yield from ("", f"### {title}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
        yield from (f"| {' | '.join(row)} |" for row in found[part])


# --- speed ---------------------------------------------------------------------------------------


def texts(rows: int) -> list[str]:
    """Invented words with the frequencies of a language; the last rows are copies of the first with a word put in."""
    dice = random.Random(0)
    signs = [a + b for a in "bcdfgklmnprst" for b in "aeiou"]
    words = ["".join(dice.choices(signs, k=dice.randint(1, 4))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))
    found = [" ".join(dice.choices(words, cum_weights=weights, k=70))[:CHARACTERS] for _ in range(rows)]
    copies = rows * COPIES // ROWS
    for number in range(copies):
        kept = found[number].split()
        kept.insert(dice.randrange(len(kept)), dice.choice(words))
        found[rows - copies + number] = " ".join(kept)
    return found


def speed() -> list[list[str]]:
    """Seconds per check, in all, and peak memory."""
    dice = random.Random(1)
    rows = tuple(Example(input={"text": text}, expected=f"{text[:60]}.") for text in texts(ROWS))
    cases = tuple(Case(id=str(n), input={"text": text}, expected="x.") for n, text in enumerate(texts(600)[300:]))
    batch = Batch(usecase("text"), tuple(dice.sample(rows, len(rows))), cases)
    start = time.perf_counter()
    report = checks.run(batch, quick=True)
    total = time.perf_counter() - start
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table = [[name, f"{seconds:.1f}"] for name, seconds in report.seconds.items()]
    met = "met" if total <= SECONDS else "**missed**"
    held = "met" if gigabytes <= GIGABYTES else "**missed**"
    table += [["together", f"**{total:.1f}** (target {SECONDS}: {met})"]]
    return [*table, ["peak memory", f"{gigabytes:.2f} GB (target {GIGABYTES}: {held})"]]


def race() -> list[list[str]]:
    """Ours, datasketch and rensa on the same word pairs; and ours against comparing all with all on 2,000 rows."""
    rows = texts(ROWS)
    sets = [sorted(_shingles(text)) for text in rows]
    ours, seconds = timed(lambda: _ours(rows))
    table = [["ours", f"{seconds:.1f}", f"{len(ours):,}", "", "", ""]]
    for name, run in (("datasketch", _datasketch), ("rensa", _rensa)):
        theirs, taken = timed(lambda run=run: _verified(run(sets), sets))  # type: ignore[misc]
        recall = f"{100 * len(theirs & ours) / len(ours):.1f} %"
        table.append(
            [
                f"{name} + check",
                f"{taken:.1f}",
                f"{len(theirs):,}",
                recall,
                str(len(theirs - ours)),
                f"{taken / seconds:.1f} ×",
            ]
        )
    few = rows[:1_000] + rows[-1_000:]
    held = [_shingles(text) for text in few]
    wanted = {
        (a, b)
        for a, b in itertools.combinations(range(len(few)), 2)
        if _jaccard(held[a], held[b]) >= shingles.THRESHOLD
    }
    same = "the same" if _ours(few) == wanted else "**not the same**"
    return [*table, ["all with all, 2,000 rows", "", f"{len(wanted):,}", same, "", ""]]


def timed(run: Callable[[], Pairs]) -> tuple[Pairs, float]:
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start


def _ours(rows: Sequence[str]) -> Pairs:
    left, right, _ = shingles.pairs(rows)
    return set(zip(left.tolist(), right.tolist(), strict=True))


def _shingles(text: str) -> frozenset[str]:
    words = text.split()
    return frozenset(f"{a} {b}" for a, b in itertools.pairwise(words))


def _jaccard(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / len(one | two)


def _verified(candidates: Pairs, sets: Sequence[Sequence[str]]) -> Pairs:
    return {
        (a, b) for a, b in candidates if _jaccard(frozenset(sets[a]), frozenset(sets[b])) >= shingles.THRESHOLD - 1e-9
    }


def _datasketch(sets: Sequence[Sequence[str]]) -> Pairs:
    from datasketch import MinHash, MinHashLSH

    index, found = MinHashLSH(threshold=shingles.THRESHOLD, num_perm=128), set()
    for number, row in enumerate(sets):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in row])
        found |= {(other, number) for other in index.query(sketch)}
        index.insert(number, sketch)
    return found


def _rensa(sets: Sequence[Sequence[str]]) -> Pairs:
    from rensa import RMinHash, RMinHashLSH

    index, found = RMinHashLSH(shingles.THRESHOLD, 128, 32), set()
    for number, row in enumerate(sets):
        sketch = RMinHash(128, 42)
        sketch.update(list(row))
        found |= {(other, number) for other in index.query(sketch)}
        index.insert(number, sketch)
    return found


# --- planted -------------------------------------------------------------------------------------


def usecase(kind: str, names: Sequence[str] = ()) -> UseCase:
    """The least that is valid."""
    output = {"label": {"labels": list(names)}, "json": {"schema": {"type": "object"}}, "text": {"max_tokens": 400}}[
        kind
    ]
    metric = {"label": "classification", "json": "fields", "text": "exact"}[kind]
    return UseCase.model_validate(
        {
            "name": "benchmark",
            "instruction": "Answer what is asked.",
            "input": {"text": {}},
            "output": {"kind": kind, **output},
            "bar": {"metric": metric, "at_least": 0.8, "smallest_difference": 0.05},
        }
    )


Row = tuple[str, str]


def banking(name: str) -> list[Row]:
    """(text, label)."""
    path = SHARED / "data" / "banking77" / "banking_data" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def policies() -> list[Row]:
    """(passage and question, answer) of PolicyQA."""
    held = json.loads((SHARED / "data" / "policyqa" / "data" / "dev.json").read_text("utf-8"))["data"]
    found = []
    for article in held:
        for paragraph in article["paragraphs"]:
            found += [(f"{paragraph['context']}\n{q['question']}", q["answers"][0]["text"]) for q in paragraph["qas"]]
    return [row for row in found if row[1].strip()]


def instructions() -> list[Row]:
    """(instruction, response) of Dolly's rows that have no context."""
    path = SHARED / "data" / "dolly15k" / "dolly-15k-en.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(row["instruction"], "" if row["context"] else row["response"]) for row in rows]


def bookings() -> list[str]:
    """Texts of Restaurant8k."""
    folder = SHARED / "data" / "restaurant8k" / "span_extraction" / "restaurant8k"
    return [row["userInput"]["text"] for row in json.loads((folder / "train_2.json").read_text("utf-8"))]


def planted() -> list[list[str]]:
    """One line per defect."""
    return [
        *_copies(),
        *_contradictions(),
        *_noise(),
        *_forms(),
        *_identity(),
        *_facts(),
        *_formats(),
        *_languages(),
        *_rephrased(),
    ]


def _line(defect: str, kind: str, batch: Batch, wanted: set[int], other: str = "") -> list[str]:
    found = _rows(checks.run(batch, quick=True).findings, kind, batch)
    return _told(defect, wanted, found, other)


def _told(defect: str, wanted: set[int], found: set[int], other: str = "") -> list[str]:
    return [defect, str(len(wanted)), str(len(wanted & found)), str(len(found - wanted)), other]


def _rows(findings: Sequence[Finding], kind: str, batch: Batch) -> set[int]:
    """Numbers of the rows of a kind of finding."""
    places = {batch.place(number): number for number in range(len(batch.examples))}
    return {
        places[row.where] for f in findings if f"{f.check}.{f.kind}" == kind for row in f.rows if row.where in places
    }


def _batch(
    kind: str, rows: Sequence[tuple[str, object]], names: Sequence[str] = (), cases: Sequence[Row] = ()
) -> Batch:
    examples = tuple(Example.model_validate({"input": {"text": text}, "expected": out}) for text, out in rows)
    judged = tuple(Case(id=str(n), input={"text": text}, expected=out) for n, (text, out) in enumerate(cases))
    return Batch(usecase(kind, names), examples, judged)


def _distinct(count: int, seed: int) -> tuple[list[Row], list[str], random.Random]:
    """Rows of BANKING77, of longer texts, with their labels."""
    rows = banking("train")
    names = sorted({label for _, label in rows})
    dice = random.Random(seed)
    return dice.sample([row for row in rows if len(row[0].split()) >= 6], count), names, dice


def _copies() -> Iterator[list[str]]:
    rows, names, dice = _distinct(3_000, 1)
    yield _line(
        "exact copy, other case and spaces",
        "duplicates.exact",
        _batch("label", rows + [(f" {text.upper()}  ", label) for text, label in rows[:50]], names),
        set(range(3_000, 3_050)),
    )

    def without(text: str) -> str:
        words = text.split()
        del words[dice.randrange(len(words))]
        return " ".join(words)

    def swapped(text: str) -> str:
        place = dice.randrange(len(text) - 1)
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    for name, change in (
        ("near copy, a word left out", without),
        ("near copy, two letters swapped", swapped),
        ("near copy, with a greeting", lambda text: f"Hello, {text} Thanks"),
    ):
        more = [(change(text), label) for text, label in rows[:50]]
        held = [_shingles(text.lower()) for text, _ in rows[:50]]
        rensa = sum(_jaccard(a, _shingles(text.lower())) >= 0.7 for a, (text, _) in zip(held, more, strict=True))
        yield _line(name, "duplicates.near", _batch("label", rows + more, names), set(range(3_000, 3_050)),
                    f"Jaccard of word pairs ≥ .7 (rensa, datasketch): at most {rensa}")  # fmt: skip


def _contradictions() -> Iterator[list[str]]:
    rows, names, dice = _distinct(3_000, 2)
    others = [dice.choice([name for name in names if name != label]) for _, label in rows[:50]]
    same = [(text, other) for (text, _), other in zip(rows, others, strict=False)]
    near = [(f"Please, {text}", other) for (text, _), other in zip(rows, others, strict=False)]
    wanted = set(range(3_000, 3_050))
    yield _line("contradiction, the same input", "contradictions.exact", _batch("label", rows + same, names), wanted)
    yield _line("contradiction, a small word more", "contradictions.near", _batch("label", rows + near, names), wanted)


def _noise() -> Iterator[list[str]]:
    """8 % of the labels changed; found = among as many rows of the queue as were changed."""
    from cleanlab.filter import find_label_issues

    rows = banking("train")
    names = sorted({label for _, label in rows})
    place = {name: number for number, name in enumerate(names)}
    texts_, given = [text.casefold() for text, _ in rows], [label for _, label in rows]
    vectors = labels._vectors(texts_)
    truth = labels.np.asarray([place[label] for label in given])
    clean = labels._out_of_fold(vectors, truth, len(names), 0)
    dice = random.Random(3)
    wrong = dice.sample(range(len(rows)), round(0.08 * len(rows)))
    likeliest = clean.copy()
    likeliest[labels.np.arange(len(rows)), truth] = -1
    for kind in ("any other label", "the likeliest wrong label"):
        noisy = list(given)
        for number in wrong:
            any_other = dice.choice([name for name in names if name != given[number]])
            noisy[number] = any_other if kind.startswith("any") else names[int(likeliest[number].argmax())]
        found = labels.doubt(texts_, noisy, seed=0).doubt
        queue = sorted(range(len(rows)), key=lambda number: -found[number])[: len(wrong)]
        chances = labels._out_of_fold(vectors, labels.np.asarray([place[label] for label in noisy]), len(names), 0)
        default = set(labels.np.flatnonzero(find_label_issues([place[label] for label in noisy], chances)).tolist())
        told = f"cleanlab's default filter: {len(default & set(wrong))} found, {len(default - set(wrong))} others"
        yield _told(f"label noise, {kind}", set(wrong), set(queue), told)


def _forms() -> Iterator[list[str]]:
    rows = policies()[:2_000]
    for name, kind, change in (
        ("special token", "shape.leftover", lambda text: f"{text}<|im_end|>"),
        ("unfilled template", "shape.leftover", lambda text: f"Dear {{{{name}}}}, {text}"),
        ("damaged encoding", "shape.damaged_text", lambda text: f"{text} (cafÃ©)"),
        ("refusal", "shape.refusal", lambda text: f"As an AI language model I do not know. {text}"),
        ("sign for nothing", "shape.placeholder", lambda text: "N/A"),
    ):
        changed: list[tuple[str, object]] = [(a, change(b)) if n % 40 == 0 else (a, b) for n, (a, b) in enumerate(rows)]
        yield _line(name, kind, _batch("text", changed), set(range(0, 2_000, 40)))


VALUES = {
    "e-mail": "jane.doe@example.org",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "phone": "+49 30 901820",
    "ip_address": "192.168.10.24",
    "german_tax_number": "86095742719",
    "german_social_number": "15 070649 C 103",
    "french_social_number": "2 69 05 49 588 157 80",
    "spanish_tax_number": "12345678Z",
    "italian_tax_number": "RSSMRA85T10A562S",
    "uk_social_number": "AB 12 34 56 C",
    "us_social_number": "536-90-4399",
}


def _identity() -> Iterator[list[str]]:
    rows, names, _ = _distinct(3_000, 4)
    for kind, value in VALUES.items():
        changed = [
            (f"{text} It is {value}.", label) if n % 60 == 0 else (text, label) for n, (text, label) in enumerate(rows)
        ]
        yield _line(
            f"personal data: {kind}", f"personal_data.{kind}", _batch("label", changed, names), set(range(0, 3_000, 60))
        )


def _facts() -> Iterator[list[str]]:
    rows = policies()[:2_000]
    for name, kind, added in (
        ("dated fact", "facts.dated", "This has been so since 3 May 2021."),
        ("price", "facts.dated", "It costs 49.90 euros a month."),
        ("figure", "facts.fact", "There are 7731 of them."),
        ("name", "facts.fact", "It was decided by Ottoline Kessler herself."),
    ):
        changed = [(a, f"{b} {added}") if n % 40 == 0 else (a, b) for n, (a, b) in enumerate(rows)]
        yield _line(f"{name} in the output only", kind, _batch("text", changed), set(range(0, 2_000, 40)))


def _formats() -> Iterator[list[str]]:
    rows = bookings()[:600]
    wanted = set(range(0, 600, 12))
    for name, kind, usual, odd in (
        ("date in another form", "consistency.date_format", "2024-10-{:02}", "{:02}.10.2024"),
        ("time in another form", "consistency.time_format", "{:02}:30", "{} pm"),
        ("price in another form", "consistency.money_format", "€{}", "{} EUR"),
    ):
        changed = [
            (text, {"value": (odd if n in wanted else usual).format(n % 12 + 10)}) for n, text in enumerate(rows)
        ]
        yield _line(name, kind, _batch("json", changed), wanted)


OTHERS = (
    "Ich möchte bitte gerne wissen, wie viel Geld sich heute noch auf meinem Konto befindet.",
    "Warum wurde meine Karte gestern im Supermarkt an der Kasse einfach nicht angenommen?",
    "Je voudrais savoir combien d'argent il me reste sur mon compte aujourd'hui, s'il vous plaît.",
    "Pourquoi ma carte a-t-elle été refusée hier au supermarché alors que j'avais de l'argent ?",
    "Me gustaría saber cuánto dinero me queda hoy en mi cuenta, por favor y gracias.",
    "¿Por qué rechazaron ayer mi tarjeta en el supermercado si todavía tenía dinero suficiente?",
    "Vorrei sapere quanti soldi mi restano oggi sul mio conto corrente, per favore e grazie.",
    "Сколько денег у меня сегодня осталось на счёте, скажите мне, пожалуйста, если можно.",
)


def _languages() -> Iterator[list[str]]:
    rows, names, _ = _distinct(3_000, 5)
    mixed = rows + [(text, names[0]) for text in OTHERS]
    yield _line("row in another language", "language.language", _batch("label", mixed, names), set(range(3_000, 3_008)))


def _rephrased() -> Iterator[list[str]]:
    """Cases in other words among 2,000 rows, with 100 cases in all."""
    test, train = banking("test"), banking("train")
    names = sorted({label for _, label in train})
    rows = random.Random(6).sample(train, 2_000)
    free = [n for n in range(len(test)) if n not in SEEN and n not in HELD]
    for name, planted in (("chosen on these", SEEN), ("held out", HELD)):
        cases = [test[n] for n in [*planted, *random.Random(7).sample(free, 100 - len(planted))]]
        wording = {n: (test[n][0], text) for n, text in planted.items()}
        batch = _batch("label", rows + [(text, test[n][1]) for n, text in planted.items()], names, cases)
        yield _reworded(f"case in other words, BANKING77 ({name})", batch, wording)
    dolly = instructions()
    free = [n for n, row in enumerate(dolly) if row[1] and n not in OPEN and n not in OPEN_HELD]
    others = random.Random(8).sample(free, 2_068)
    for name, planted in (("looked at while choosing", OPEN), ("held out", OPEN_HELD)):
        cases = [dolly[n] for n in [*planted, *others[2_000 : 2_100 - len(planted)]]]
        answered = [dolly[n] for n in others[:2_000]] + [(text, f"Answer {n}.") for n, text in planted.items()]
        wording = {n: (dolly[n][0], text) for n, text in planted.items()}
        yield _reworded(f"case in other words, Dolly ({name})", _batch("text", answered, (), cases), wording)


def _reworded(name: str, batch: Batch, wording: dict[int, tuple[str, str]]) -> list[str]:
    found = [item for item in leakage.check_rephrased(batch) if isinstance(item, Finding)]
    grams = sum(bool(_grams(one) & _grams(two)) for one, two in wording.values())
    wanted = set(range(2_000, 2_000 + len(wording)))
    return _told(name, wanted, _rows(found, "leakage.rephrased", batch), f"a shared 13-gram of words: {grams}")


def _grams(text: str, size: int = 13) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[n : n + size]) for n in range(len(words) - size + 1)}


PARTS: dict[str, Callable[[], list[list[str]]]] = {"speed": speed, "race": race, "planted": planted}

if __name__ == "__main__":
    main(*sys.argv[1:])
