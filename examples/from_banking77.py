"""Make a use case from BANKING77 (CC BY 4.0, PolyAI): bank customers' questions and 77 intents.

    python examples/from_banking77.py BANKING_DATA FOLDER               all 77 intents
    python examples/from_banking77.py BANKING_DATA FOLDER --intents 8   those about cards that look most alike

BANKING_DATA is the folder `banking_data` of https://github.com/PolyAI-LDN/task-specific-datasets. The official test
set becomes the suite. Nothing of the data is part of this project.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

ALIKE = (
    "card_arrival",
    "card_delivery_estimate",
    "lost_or_stolen_card",
    "card_not_working",
    "declined_card_payment",
    "card_swallowed",
    "activate_my_card",
    "getting_spare_card",
)
USECASE = """# Made by examples/from_banking77.py
name = "{name}"
description = "Customers of a bank ask in a chat; the intent decides which answer they get."
instruction = "Read the customer's question and name its intent."
privacy = "on_premises"

[input.question]
type = "text"
max_chars = 1000

[output]
kind = "label"
labels = {labels}
max_tokens = 40

[change]
behaviour = ["classification"]

[bar]
metric = "classification"
at_least = {at_least}
smallest_difference = 0.02

[budget]
dev_calls = 240
"""


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the folder banking_data")
    parser.add_argument("folder", type=Path, help="the use case to write")
    parser.add_argument("--intents", type=int, default=77, help=f"77, or at most {len(ALIKE)}")
    parser.add_argument("--bar", type=float, default=0.85)
    wanted = parser.parse_args()
    labels = tuple(json.loads((wanted.source / "categories.json").read_text("utf-8")))
    if wanted.intents < len(labels):
        labels = ALIKE[: wanted.intents]
    for part in ("data", "suite"):
        (wanted.folder / part).mkdir(parents=True, exist_ok=True)
    _write(wanted.folder / "data" / "examples.jsonl", _rows(wanted.source / "train.csv", labels))
    _write(wanted.folder / "suite" / "cases.jsonl", _rows(wanted.source / "test.csv", labels))
    settings = USECASE.format(name=wanted.folder.resolve().name, labels=json.dumps(labels), at_least=wanted.bar)
    (wanted.folder / "usecase.toml").write_text(settings, encoding="utf-8")


def _rows(path: Path, labels: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """The rows of the wanted intents, each question once."""
    seen = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            question = " ".join(row["text"].split())
            if row["category"] in labels and question not in seen:
                seen.add(question)
                yield {"input": {"question": question}, "expected": row["category"]}


def _write(path: Path, rows: Iterator[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
