"""Known and unknown facts: what does fine-tuning on facts that a model does not know do to those it knows?

After Gekhman et al., EMNLP 2024 (arXiv 2405.05904), with the shipped pocket model and an invented world, so that what
the model knows is known. `python -m benchmarks.facts SEED [SHARE …]` writes build/probes/facts-SHARE-SEED.json;
`benchmarks.probes` makes the page of all seeds.

    teach 200 people × 4 relations (full tuning)  ─→ the base of the study: it knows these 800 facts, no others
    tune it on 300 rows in a wording never seen, X % of them about people it has never met
    after every epoch: rows fitted (known, unknown), held-out known facts in the new and in the taught wording
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tuneworthy.models.local.files import resolve
from tuneworthy.records import Message
from tuneworthy.training.batches import IGNORED, EncodedRow, collate, micro_batches
from tuneworthy.training.loop import train
from tuneworthy.training.network import Base, open_base
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import TrainingRow, encode
from tuneworthy.usecase import ModelChoice

OUT = Path(__file__).parents[1] / "build" / "probes"
FIRST = str.split("""
    Abel Anna Chen Daisy Dariusz Diana Dirk Elias Felix Flora Frida Georg Goran Gustav Halina Joan Kira Lukas Noah
    Olive Omar Otto Paul Peter Priya Quinn Regina Rose Sara Sofia Usha Vikram Vince Violet Wanda
""")
LAST = str.split("Dakar Detroit Dover Geneva Hamburg Jakarta Lima Odessa Oslo Oxford Prague Varna Monday Summer")
RELATIONS = {
    "colour": str.split("green beige scarlet brown bright dark light white purple yellow"),
    "sport": str.split("racket sharp fast chess music gaming cooking cleaning reader captain"),
    "place": str.split("station office branch gate room city home capital country market"),
    "trade": str.split("lawyer teacher builder buyer seller designer editor guard supplier founder"),
}
TAUGHT = ("What is the {relation} of {name}?", "Tell me the {relation} of {name}.", "{name}: which {relation}?")
NEW = "ask {relation} {name} =>"
KNOWN_PEOPLE, UNKNOWN_PEOPLE = 200, 75
ROWS = 300
SHARES = (0.0, 0.25, 0.5, 1.0)
"""of unknown facts among the rows"""
TEACHING = Recipe(method="full", learning_rate=2e-3, epochs=45, batch_size=64, checkpoint_every=5, patience=1000)
TUNING = Recipe(method="full", learning_rate=5e-4, epochs=40, batch_size=32, checkpoint_every=2, patience=1000)


class Fact(NamedTuple):
    """One fact of the invented world."""

    name: str
    relation: str
    value: str

    def row(self, wording: str) -> TrainingRow:
        """As a question and its answer."""
        asked = wording.format(relation=self.relation, name=self.name)
        messages = (Message(role="user", content=asked), Message(role="assistant", content=self.value))
        return TrainingRow(name=asked, messages=messages)


@dataclass(frozen=True)
class World:
    """Who is taught, and who is never met."""

    known: tuple[Fact, ...]
    unknown: tuple[Fact, ...]


def world() -> World:
    """Always the same."""
    draw = random.Random(1)
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    people = draw.sample(names, KNOWN_PEOPLE + UNKNOWN_PEOPLE)
    facts = [Fact(name, relation, draw.choice(values)) for name in people for relation, values in RELATIONS.items()]
    return World(tuple(facts[: 4 * KNOWN_PEOPLE]), tuple(facts[4 * KNOWN_PEOPLE :]))


def right(base: Base, rows: Sequence[EncodedRow]) -> list[bool]:
    """Is every token of the answer, its stop token included, the likeliest one? One flag a row."""
    found: dict[str, bool] = {}
    with torch.no_grad():
        for part in micro_batches([rows], 8192):
            batch = collate(part)
            best_BT = base.network(input_ids=batch.ids_BT, use_cache=False).logits.argmax(-1)
            same_BT = (best_BT == batch.targets_BT) | (batch.targets_BT == IGNORED)
            found |= {row.name: bool(same) for row, same in zip(part, same_BT.all(-1), strict=True)}
    return [found[row.name] for row in rows]


def encoded(base: Base, facts: Sequence[Fact], wordings: Sequence[str]) -> Any:
    """Facts as rows to train on, in all these wordings."""
    rows = [fact.row(wording) for fact in facts for wording in wordings]
    return encode(base.tokenizer, rows, 128, stop_ids=base.stop_ids)


def taught_base(facts: Sequence[Fact]) -> Path:
    """The base of the study: the pocket model that was taught these facts."""
    base = open_base(resolve(ModelChoice(base="pocket"), Path()))
    rows = encoded(base, facts, TAUGHT)
    watched = encoded(base, facts[::3], TAUGHT[:1]).rows

    def score(step: int) -> tuple[float, float]:
        share = sum(right(base, watched)) / len(watched)
        say(f"taught, step {step}: {share:.3f}")
        return min(share, 0.9999), 0.0

    return Path(train(base, TEACHING, rows, OUT / "taught", evaluate=score).folder)


def tune(folder: Path, there: World, *, share: float, keep: bool, seed: int) -> dict[str, Any]:
    """One tuning; what was right after every other epoch.

    Args:
        share: of unknown facts among 300 rows.
        keep: with the unknown rows; False = the same known rows alone.
    """
    draw = random.Random(seed)
    base = open_base(folder)
    certain = [
        f for f, ok in zip(there.known, right(base, encoded(base, there.known, TAUGHT[:1]).rows), strict=True) if ok
    ]
    learned = draw.sample(certain, ROWS)
    held = [fact for fact in certain if fact not in set(learned)]
    draw.shuffle(held)
    dev, test = held[:150], held[150:]
    n_unknown = round(share * ROWS)
    unknown, known = draw.sample(there.unknown, n_unknown), learned[: ROWS - n_unknown]
    rows = encoded(base, [*known, *(unknown if keep else [])], [NEW])
    sets = {
        "known rows fitted": encoded(base, known, [NEW]).rows if known else (),
        "unknown rows fitted": encoded(base, unknown, [NEW]).rows if unknown else (),
        "dev": encoded(base, dev, [NEW]).rows,
        "held-out known, new wording": encoded(base, test, [NEW]).rows,
        "held-out known, taught wording": encoded(base, test, TAUGHT[:1]).rows,
    }
    history: list[dict[str, Any]] = []
    answers: dict[str, list[bool]] = {}

    def score(step: int) -> tuple[float, float]:
        answers.update({name: list(right(base, r)) for name, r in sets.items() if r})
        shares = {name: sum(flags) / len(flags) for name, flags in answers.items()}
        history.append({"step": step, "epoch": step * TUNING.batch_size / len(rows.rows), **shares})
        return min(shares["dev"], 0.9999), 0.0

    before = {name: sum(right(base, r)) / len(r) for name, r in sets.items() if r}
    recipe = TUNING.model_copy(
        update={
            "seed": seed,
            "epochs": TUNING.epochs * ROWS / len(rows.rows),
            "checkpoint_every": TUNING.checkpoint_every * ROWS / len(rows.rows),
        }
    )
    out = OUT / "tuned" / f"{share:g}-{'all' if keep else 'known'}-{seed}"
    began = time.monotonic()
    train(base, recipe, rows, out, evaluate=score)
    return {
        "share": share,
        "with_unknown": keep,
        "seed": seed,
        "before": before,
        "history": history,
        "answers": answers,  # at the end, fact by fact: with and without the unknown rows they are the same facts
        "n": {name: len(r) for name, r in sets.items()},
        "rows": len(rows.rows),
        "seconds": time.monotonic() - began,
    }


def say(text: str) -> None:
    """To the log."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main(seed: int, shares: Sequence[float]) -> None:
    """The runs of one seed, each share in a file of its own."""
    there = world()
    folder = taught_base(there.known)
    for share in shares:
        both = (True, False) if 0 < share < 1 else (True,)
        found = [tune(folder, there, share=share, keep=keep, seed=seed) for keep in both]
        say(f"seed {seed}, {share:g} unknown: {found[0]['history'][-1]}")
        (OUT / f"facts-{share:g}-{seed}.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), [float(share) for share in sys.argv[2:]] or SHARES)
