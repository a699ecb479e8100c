"""Write the example use cases: data, cases and documents, from word lists in this file, seeded.

    python examples/generate.py            rewrites examples/*/data, suite/cases.jsonl and docs

Names and wordings are this file's own; the pocket model never saw them. No verdict is written anywhere in advance.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TEMPLATES = HERE.parent / "src" / "tuneworthy" / "templates"
Row = dict[str, Any]


# --- ticket-triage: e-mail → strict JSON ----------------------------------------------------------

SENDERS = (
    """Aldis Brandvold, Mireille Okonjo, Tadeusz Fennimore, Solveig Pacheco, Bertil Quintana, Ilka Rasmussen,
Oona Thackeray, Casimir Delacroix, Yevgenia Holt, Lorcan Abernathy, Philippa Nakagawa, Anselm Virtanen, Dagny Moreau,
Ottoline Kessler, Renzo Halvorsen, Saoirse Lindqvist, Barnaby Szabo, Ingeborg Castellano, Thaddeus Wren, Marisol Eder
""".replace("\n", " ")
    .strip()
    .split(", ")
)

GOODS = """kayak, awning, dehumidifier, tripod, cello stand, espresso grinder, standing desk, headlamp, sewing kit,
paddle board, air purifier, bread maker, label maker, bird feeder, rain barrel, photo frame, desk fan, tool belt,
garden hose, camp stove, yoga mat, wall clock, bike rack, floor lamp""".replace("\n", " ").split(", ")

TICKETS = {
    "delivery": [
        "the parcel with the {good} never reached me",
        "the courier left the {good} at the wrong doorstep",
        "tracking for the {good} has not moved for nine days",
        "where is the {good}, it should have arrived last week",
        "the van came while I was out and the {good} went back to the depot",
        "I am still waiting for the parcel that holds my {good}",
        "the courier says the {good} was handed over, yet nobody here got it",
        "could you find out on which van the {good} is travelling",
    ],
    "invoice": [
        "you charged my card twice for the {good}",
        "the bill for the {good} shows the wrong amount",
        "I need a corrected bill for the {good} with our VAT number",
        "the sum on the bill for the {good} is higher than agreed",
        "my card statement lists the {good} two times",
        "please send the bill for the {good} once more, our bookkeeper lost it",
        "the rebate is missing from the bill for the {good}",
        "I was charged for a {good} that I cancelled",
    ],
    "defect": [
        "the {good} stopped working after two days",
        "the {good} has a crack along the side",
        "a part of the {good} snapped when I first used it",
        "the {good} makes a grinding noise and then stops working",
        "there is a crack in the casing of the {good}",
        "the {good} is faulty, it will not switch on",
        "the hinge of the {good} snapped off",
        "my {good} turned out to be faulty right after unpacking",
    ],
    "exchange": [
        "I would like to swap the {good} for a bigger one",
        "the {good} is the wrong size, can I send it back",
        "please swap the {good} for the grey version",
        "I changed my mind about the {good} and want to send it back",
        "how do I send the {good} back, it does not fit",
        "can I swap my {good} for another size",
        "the {good} does not fit in our hallway, so back it goes",
        "I ordered the wrong size of {good}",
    ],
}
OPENERS = [
    "Hello,",
    "Good morning,",
    "Dear team,",
    "Hi there,",
    "To whom it may concern,",
    "Greetings,",
    "Hello support,",
]
NUMBERS = [
    "The order is {n}.",
    "My order number: {n}.",
    "It concerns order {n}.",
    "(order {n})",
    "Order reference {n}.",
]
URGENT = [
    "This is urgent.",
    "Please act today.",
    "I need an answer by tonight.",
    "It cannot wait.",
    "Please hurry, it is urgent.",
]
RELAXED = ["No rush.", "Whenever you have a moment.", "There is no hurry.", "Next week is fine.", "Take your time."]
CLOSERS = ["Kind regards", "Best wishes", "Many thanks", "Yours", "Thank you", "Cheers"]


def tickets(count: int, seed: int) -> Iterator[Row]:
    draw = random.Random(seed)
    for _ in range(count):
        category = draw.choice(sorted(TICKETS))
        number = str(draw.randrange(10_000, 99_999))
        urgent = draw.random() < 0.5
        body = draw.choice(TICKETS[category]).format(good=draw.choice(GOODS))
        middle = [
            body[0].upper() + body[1:] + ".",
            draw.choice(NUMBERS).format(n=number),
            draw.choice(URGENT if urgent else RELAXED),
        ]
        if draw.random() < 0.5:
            middle[1], middle[2] = middle[2], middle[1]
        if draw.random() < 0.3:
            middle = [middle[1], middle[0], middle[2]]
        email = " ".join([draw.choice(OPENERS), *middle, draw.choice(CLOSERS) + ",", draw.choice(SENDERS)])
        expected = {"category": category, "priority": "high" if urgent else "normal", "order": number}
        yield {"input": {"email": email}, "expected": expected}


# --- policy-answers: questions on documents that the model has never seen --------------------------

TARIFFS = """Brackwater, Tamarisk, Quillon, Ferngate, Ostrava, Larkspur, Wexcombe, Nimbara, Heddleston, Curlew,
Pennarth, Sablewood, Dunmere, Vellinge, Thornquay, Ashgrove, Marlpit, Kingfisher, Rowanhill, Stavely, Orrinfell,
Bexley, Harrowgate, Cinderford""".replace("\n", " ").split(", ")

RULES = {
    "notice period": ("The notice period of the {t} plan is {v} days.", "What is the notice period of the {t} plan?"),
    "monthly fee": ("The monthly fee of the {t} plan is {v} euros.", "What is the monthly fee of the {t} plan?"),
    "data allowance": (
        "The data allowance of the {t} plan is {v} gigabytes.",
        "What is the data allowance of the {t} plan?",
    ),
    "refund window": ("The refund window of the {t} plan is {v} days.", "What is the refund window of the {t} plan?"),
    "deposit": ("The deposit of the {t} plan is {v} euros.", "What is the deposit of the {t} plan?"),
    "guest limit": ("The guest limit of the {t} plan is {v} people.", "What is the guest limit of the {t} plan?"),
    "late charge": ("The late charge of the {t} plan is {v} euros.", "What is the late charge of the {t} plan?"),
    "storage quota": (
        "The storage quota of the {t} plan is {v} gigabytes.",
        "What is the storage quota of the {t} plan?",
    ),
    "contract length": (
        "The contract length of the {t} plan is {v} months.",
        "What is the contract length of the {t} plan?",
    ),
    "callback time": ("The callback time of the {t} plan is {v} hours.", "What is the callback time of the {t} plan?"),
    "coverage limit": (
        "The coverage limit of the {t} plan is {v} euros.",
        "What is the coverage limit of the {t} plan?",
    ),
    "trial length": ("The trial length of the {t} plan is {v} days.", "What is the trial length of the {t} plan?"),
}
ASKED = ["{q}", "Please tell me: {q}", "A customer asks: {q}", "Quick question. {q}"]


def policies(seed: int) -> tuple[dict[str, str], list[Row]]:
    """(file name → document, questions with answer and evidence)."""
    draw = random.Random(seed)
    documents, questions = {}, []
    for tariff in TARIFFS:
        lines = [f"# The {tariff} plan", ""]
        for rule in draw.sample(sorted(RULES), len(RULES)):
            fact, question = RULES[rule]
            value = str(draw.randrange(2, 999))
            sentence = fact.format(t=tariff, v=value)
            lines += [f"## {rule.capitalize()}", "", sentence, ""]
            asked = draw.choice(ASKED).format(q=question.format(t=tariff))
            questions.append({"input": {"question": asked}, "expected": value, "evidence": sentence, "cluster": tariff})
        documents[f"{tariff.lower()}.md"] = "\n".join(lines)
    draw.shuffle(questions)
    return documents, questions


# --- plain-labels: a message → the team that looks after it ---------------------------------------

TEAMS = {
    "plumbing": [
        "a tap drips",
        "the drain is blocked",
        "the toilet will not flush",
        "water leaks under the sink",
        "the shower stays cold",
        "the cistern overflows",
        "the washbasin is clogged",
        "a pipe gurgles",
        "the boiler pressure is low",
    ],
    "electrics": [
        "a bulb is out",
        "the socket sparks",
        "the fuse keeps tripping",
        "the light switch is dead",
        "the doorbell does not ring",
        "the cooker has no power",
        "a cable hangs loose",
        "the corridor lights flicker",
        "the meter shows nothing",
    ],
    "keys": [
        "I lost my key",
        "the lock is stiff",
        "the front door will not lock",
        "my key card is blank",
        "I am locked out",
        "a key broke in the lock",
        "the mailbox key is missing",
        "we need a spare key",
        "the padlock is stuck",
    ],
    "waste": [
        "the bins are overflowing",
        "nobody emptied the bins",
        "there is rubbish in the yard",
        "the recycling was not collected",
        "the compost smells",
        "old furniture lies by the bins",
        "the skip is full",
        "rubbish bags block the stairs",
        "glass lies by the recycling",
    ],
    "noise": [
        "the neighbours play loud music",
        "there is drilling at midnight",
        "a dog barks all night",
        "the party upstairs is too loud",
        "someone hammers on Sundays",
        "the fan on the roof hums loudly",
        "loud voices in the hall keep us awake",
        "the pump hums at night",
        "an alarm beeps without end",
    ],
}
WHERE = [
    "in flat {n}",
    "on floor {n}",
    "at entrance {n}",
    "next to unit {n}",
    "in the house at number {n}",
    "near staircase {n}",
]
TONE = [
    "Could somebody look at this?",
    "It has been like this since Monday.",
    "Please send someone.",
    "This happened before.",
    "Thanks in advance.",
    "We reported it last week.",
    "Is anyone on it already?",
    "It is getting worse.",
]


def maintenance(count: int, seed: int) -> Iterator[Row]:
    draw = random.Random(seed)
    for _ in range(count):
        team = draw.choice(sorted(TEAMS))
        place = draw.choice(WHERE).format(n=draw.randrange(1, 60))
        sentence = f"{draw.choice(TEAMS[team])} {place}."
        parts = [sentence[0].upper() + sentence[1:], draw.choice(TONE)]
        if draw.random() < 0.4:
            parts.reverse()
        yield {"input": {"message": " ".join(parts)}, "expected": team}


# --- style: a note → a reply in the house's own form (only a template of `tuneworthy init`) ---------

NEWS = [
    "the {good} arrives on {day}",
    "your appointment moved to {day}",
    "we repaired the {good} on {day}",
    "the {good} is sold out until {day}",
    "our shop opens again on {day}",
    "you can collect the {good} on {day}",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]


def replies(count: int, seed: int) -> Iterator[Row]:
    draw = random.Random(seed)
    for _ in range(count):
        note = draw.choice(NEWS).format(good=draw.choice(GOODS), day=draw.choice(DAYS))
        yield {"input": {"note": note}, "expected": f"Dear customer, {note}. Yours, the Harbour Team"}


# --- writing --------------------------------------------------------------------------------------


def main() -> None:
    """Write every example and the data of the templates. Cases never share an input with an example."""
    rows = unique([*tickets(620, seed=11)])
    write(HERE / "ticket-triage", rows[120:420], rows[:120])
    write(TEMPLATES / "extraction", rows[120:180], rows[:30])
    documents, questions = policies(seed=12)
    for name, text in documents.items():
        put(HERE / "policy-answers" / "docs" / name, text)
    of_each = {tariff: [q for q in questions if q["cluster"] == tariff] for tariff in TARIFFS}
    write(
        HERE / "policy-answers",
        [{"input": q["input"], "expected": q["expected"]} for asked in of_each.values() for q in asked[4:]],
        [q for asked in of_each.values() for q in asked[:4]],
    )
    write_answers_template(documents, questions)
    rows = unique([*maintenance(620, seed=13)])
    write(HERE / "plain-labels", rows[100:460], rows[:100])
    write(TEMPLATES / "classification", rows[100:160], rows[:30])
    rows = unique([*maintenance(420, seed=14)])
    write(HERE / "too-few-cases", rows[18:338], rows[:18])
    rows = unique([*replies(200, seed=15)])
    write(TEMPLATES / "style", rows[30:90], rows[:30])


def write_answers_template(documents: dict[str, str], questions: list[Row]) -> None:
    """Six documents; cases on three of them, examples on the others."""
    for tariff in TARIFFS[:6]:
        put(TEMPLATES / "answers" / "docs" / f"{tariff.lower()}.md", documents[f"{tariff.lower()}.md"])
    on = {tariff: [q for q in questions if q["cluster"] == tariff] for tariff in TARIFFS[:6]}
    asked = [row for tariff in TARIFFS[:3] for row in on[tariff]]
    learn = [{"input": q["input"], "expected": q["expected"]} for tariff in TARIFFS[3:6] for q in on[tariff]]
    write(TEMPLATES / "answers", learn, asked)


def unique(rows: list[Row]) -> list[Row]:
    """Rows with different inputs, in order."""
    return list({json.dumps(row["input"]): row for row in rows}.values())


def write(folder: Path, rows: list[Row], cases: list[Row]) -> None:
    for path, chosen in (("data/examples.jsonl", rows), ("suite/cases.jsonl", cases)):
        put(folder / path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen))


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
