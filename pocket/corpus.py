"""Synthetic chats, made on the fly from a random generator: nothing is stored, every seed gives new items."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pocket import templates as t
from pocket import words as w

T = TypeVar("T")
Piece = tuple[str, bool]  # text, whether the model is trained to write it

SKILLS = ("repeat", "read", "shots", "labels", "extract")
EXTRA = """Monday manager please about customer order number category priority because would could should have
there which their after before other from with this that these those when what where how many days keys"""
RESERVED = frozenset(
    x for text in [*t.all_texts(), *w.SYNONYMS, *w.SYNONYMS.values(), *w.UNITS, EXTRA] for x in w.words_of(text)
)


def _split(pool: Sequence[str]) -> tuple[list[str], list[str]]:
    pool = list(dict.fromkeys(pool))
    held = [x for x in pool if w.is_held(x, RESERVED)]
    return [x for x in pool if x not in set(held)], held


POOLS = {
    "first": _split(w.FIRST),
    "place": _split(w.PLACES),
    "noun": _split(w.NOUNS),
    "adj": _split(w.ADJ),
    "attr": _split(w.ATTRS),
    "label": _split(w.LABELS),
}
HELD_WORDS = frozenset(x.lower() for _, held in POOLS.values() for x in held)
# Words of the wordings that are no name, value, label or cue: they may stand anywhere in a loose wording.
OTHER = sorted(
    {x for text in t.all_texts() for x in w.words_of(text) if len(x) > 1}
    - {x.lower() for pool in POOLS.values() for x in (*pool[0], *pool[1])}
    - {x for text in [*w.SYNONYMS, *w.SYNONYMS.values(), *w.UNITS] for x in w.words_of(text)}
)


def shape(text: str) -> str:
    """A wording without case, punctuation and kinds of slots, to compare wordings."""
    return " ".join(re.findall(r"\{|\w+", re.sub(r"\{\w\}", "{", text.lower())))


HELD_SHAPES = [f" {x} " for x in sorted({shape(text) for text in t.held_out()}) if x.count(" ") >= 2]


def training_words() -> frozenset[str]:
    """All lower-case words of pretraining: pools and wordings (names invented from syllables come on top)."""
    pools = (x.lower() for train, _ in POOLS.values() for x in train)
    return RESERVED | frozenset(pools)


@dataclass
class Item:
    """One chat. Each message is a role and pieces; a piece marked True carries loss."""

    skill: str
    messages: list[tuple[str, list[Piece]]] = field(default_factory=list)
    value: str = ""  # what the last answer has to contain
    others: tuple[str, ...] = ()  # values that it must not contain; copying at random picks among both
    kind: str = ""

    def say(self, role: str, text: str | list[Piece]) -> None:
        """Append a message; the assistant's own text carries loss."""
        self.messages.append((role, [(text, role == "assistant")] if isinstance(text, str) else text))

    def pieces(self) -> list[Piece]:
        """The chat as the chat template writes it, with the loss marked."""
        out: list[Piece] = [("<|bos|>", False)]
        for role, parts in self.messages:
            trained = role == "assistant" and any(x for _, x in parts)
            out += [(f"<|{role}|>\n", False), *parts, ("<|end|>", trained), ("\n", False)]
        return out

    def prompt(self) -> list[dict[str, str]]:
        """The messages before the last answer."""
        return [{"role": r, "content": "".join(x for x, _ in p)} for r, p in self.messages[:-1]]

    def answer(self) -> str:
        """The last answer."""
        return "".join(x for x, _ in self.messages[-1][1])


def cap(text: str) -> str:
    """First letter upper case, as at the start of a sentence."""
    return text[:1].upper() + text[1:]


SMALL = frozenset(t.SMALL)


def is_held_wording(text: str) -> bool:
    """Whether a wording is, or contains, one that is kept for evaluation."""
    plain = f" {shape(text)} "
    return any(x in plain for x in HELD_SHAPES)


class Generator:
    """Draws items. With `held`, names come from held-out words and wordings from held-out templates."""

    def __init__(self, seed: int | str, held: bool = False, invented: float = 0.25, loose: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.held = held
        self.loose = loose  # share of wordings made of random small words; not in evaluation
        self.share = invented  # of names made of arbitrary sub-word pieces; the curriculum raises it

    # -- words -----------------------------------------------------------------------------------------
    def pick(self, pool: str) -> str:
        """A word of a pool, from the generator's side of the split."""
        return self.rng.choice(POOLS[pool][self.held])

    def wording(self, pair: tuple[list[T], list[T]]) -> T:
        """A wording from the generator's side of the split."""
        found = self.rng.choice(pair[self.held])
        if isinstance(found, str) and " " in found and self._loosely():
            return self._varied(found)  # type: ignore[return-value]
        return found

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def invented(self) -> str:
        """A name of two to four sub-word tokens; teaches copying of strings that are no known word."""
        while True:
            r = self.rng
            if self.share > 0.25 and r.random() < 0.75:
                name = self._spliced() if r.random() < 0.35 else self._scraps()
            elif r.random() < 0.25:
                name = "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(3, 6)))
            else:
                parts = [r.choice(w.ONSETS) + r.choice(w.VOWELS) for _ in range(r.randint(1, 3))]
                name = "".join(parts) + r.choice(w.CODAS)
            if name not in HELD_WORDS and not w.is_held(name):
                return name

    def _spliced(self) -> str:
        """The front of one word and the back of another: reads like English, yet is no known word."""
        r = self.rng
        front, back = (
            r.choice(POOLS[r.choice(("first", "place", "noun", "noun", "adj", "attr", "label"))][0]) for _ in "12"
        )
        cut = r.randint(1, len(front))
        return front[:cut].lower() + back[r.randint(1, max(1, len(back) - 2)) :].lower()

    def _scraps(self) -> str:
        """Pieces from anywhere in some words: nearly every token of the vocabulary comes up in any order."""
        r = self.rng
        out = ""
        for _ in range(r.randint(1, 3)):
            word = r.choice(POOLS[r.choice(("first", "place", "noun", "noun", "adj", "attr", "label"))][0])
            at = r.randrange(len(word))
            out += word[at : at + r.randint(1, 5)].lower()
        return out

    def held_invented(self) -> str:
        """An invented name whose hash keeps it out of training."""
        while True:
            r = self.rng
            name = "".join(r.choice(w.ONSETS) + r.choice(w.VOWELS) for _ in range(r.randint(1, 2)))
            name += r.choice(w.CODAS)
            if w.is_held(name, RESERVED):
                return name

    def strange(self) -> str:
        return self.held_invented() if self.held else self.invented()

    def digits(self, low: int = 1, high: int = 6) -> str:
        n = self.rng.randint(low, high)
        return str(self.rng.randrange(10 ** (n - 1), 10**n))

    def code(self) -> str:
        r = self.rng
        letters = "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.randint(1, 3)))
        letters = "Q" if letters.lower() in HELD_WORDS else letters
        return letters + r.choice(["", "-", ""]) + self.digits(2, 5)

    def word(self) -> str:
        """Any word, in any case: values must not be predictable from their type."""
        r = self.rng
        x = self.pick(r.choice(["first", "place", "noun", "noun", "adj", "attr", "label"]))
        x = self.strange() if r.random() < self.share else x
        return cap(x) if r.random() < 0.2 else x

    def person(self) -> str:
        r = self.rng.random()
        first = self.pick("first") if r < 1.05 - self.share else cap(self.strange())
        return first if r < 0.3 else f"{first} {cap(self.strange())}"

    def thing(self) -> str:
        r = self.rng.random()
        if r < 0.15:
            return f"{cap(self.strange())} {self.rng.choice([self.code(), self.pick('noun')])}"
        noun = self.pick("noun") if r < (0.85 if self.share <= 0.25 else 0.65) else self.strange()
        return f"the {self.pick('adj')} {noun}" if r < 0.5 else f"the {noun}"

    def topic(self) -> str:
        r = self.rng.random()
        noun = self.pick("noun") if r < 0.7 else self.pick("label")
        return f"{noun} {self.pick('label')}" if r < 0.5 else f"a {self.pick('adj')} {noun}" if r < 0.75 else noun

    def name_of(self, kind: str, unit: str = "days") -> str:
        """A random entity or value of a kind."""
        r = self.rng.random()
        if kind == "quantity":
            return f"{self.digits(1, 3)} {unit}"
        if kind == "person":
            return self.person()
        if kind == "place":
            if r < 0.95 - self.share:
                return self.pick("place")
            return cap(self.strange()) if r < 0.9 else f"room {self.digits(1, 3)}"
        if kind == "thing":
            return self.thing()
        if kind == "topic":
            return self.topic()
        if kind == "code":
            return self.code() if r < 0.5 else self.digits(2, 6)
        return self.word()

    def distinct(self, make: Callable[[], str], n: int) -> list[str]:
        """n different strings, none contained in another, so that scoring by containment is sound."""
        out: list[str] = []
        while len(out) < n:
            x = make()
            if not any(x.lower() in y.lower() or y.lower() in x.lower() for y in out):
                out.append(x)
        return out

    def _distinct_of(self, kinds: list[str]) -> list[str]:
        """One name of each kind, in this order, none contained in another."""
        turns = itertools.cycle(kinds)
        return self.distinct(lambda: self.name_of(next(turns)), len(kinds))

    def system(self, item: Item, p: float = 0.3) -> None:
        if self.chance(p):
            item.say("system", self.wording(t.SYSTEM))

    # -- skills ----------------------------------------------------------------------------------------
    def repeat(self, n: int = 0) -> Item:
        """Random words to be repeated: every word of the answer is pure copying."""
        n = n or self.rng.randint(2, 14)
        r = self.rng.random()
        if r < 0.75:
            text = " ".join(self.word() for _ in range(n))
        elif r < 0.9:
            kinds = ["code", "person", "place", "any"]
            text = " ".join(self.name_of(self.rng.choice(kinds)) for _ in range(max(2, n // 2)))
        else:
            text = ", ".join(f'"{self.word()}"' for _ in range(max(2, n // 2)))
        item = Item("repeat", value=text)
        self.system(item, 0.15)
        item.say("user", self.wording(t.REPEAT).format(t=text))
        item.say("assistant", text)
        return item

    def _facts(self, n: int) -> tuple[list[str], list[str], list[str], list[str]]:
        """n facts of one relation about n subjects: facts, questions, answers, values."""
        rng = self.rng
        relation = rng.choice((0, 0, 0, 0, 1, 1, *range(2, len(t.RELATIONS))))
        ent, val, facts, asks, answer = t.RELATIONS[relation]
        facts, asks = ([facts[-1]], [asks[-1]]) if self.held else (facts[:-1], asks[:-1])
        if self._loosely() and rng.random() < 0.5:
            ent, val, facts, asks, answer = self._loose_relation()
        elif self.loose:
            facts, asks = facts + t.MORE[relation][0], asks + t.MORE[relation][1]
            facts, asks = self._more_wordings(facts, asks, "{a}" in facts[0], ent == "person")
        if ent == "any":
            ent = rng.choice(("person", "thing", "place", "topic", "code", "person", "thing"))
        if val == "any" or rng.random() < 0.15:
            val = rng.choice(("any", "any", "code", "person", "place")) if val != "quantity" else val
        unit, attr = rng.choice(w.UNITS), self._attribute()
        subjects = self._subjects(ent, n)
        values = self.distinct(lambda: self.name_of(val, unit), n)
        by_attr = "{a}" in answer and n > 1 and rng.random() < 0.15 and all("{a}" in f for f in facts)
        attrs = self.distinct(self._attribute, n) if by_attr else [attr] * n
        subjects = [subjects[0]] * n if by_attr else subjects
        same = rng.choice(facts) if rng.random() < 0.6 else ""

        def fill(pattern: str, i: int) -> str:
            return cap(pattern.format(s=subjects[i], v=values[i], a=attrs[i], u=unit))

        return (
            [fill(same or rng.choice(facts), i) for i in range(n)],
            [fill(rng.choice(asks), i) for i in range(n)],
            [fill(answer, i) for i in range(n)],
            values,
        )

    def _more_wordings(
        self, facts: list[str], asks: list[str], attribute: bool, person: bool
    ) -> tuple[list[str], list[str]]:
        """A few composed and varied wordings of a relation, some with an opening."""
        rng = self.rng
        facts, asks = rng.sample(facts, 4), rng.sample(asks, 4)
        if attribute:
            made = [self._composed(t.ATTRIBUTE_FACTS, person) for _ in range(4)]
            facts = [x if rng.random() < 0.4 else y for x, y in zip(facts, made, strict=True)]
            made = [self._composed(t.ATTRIBUTE_ASKS, person) for _ in range(4)]
            asks = [x if rng.random() < 0.4 else y for x, y in zip(asks, made, strict=True)]
        facts = [self._varied(x) if self._loosely() else x for x in facts]
        asks = [self._varied(x) if self._loosely() else x for x in asks]
        if self._loosely():
            asks = [self._opened(x, t.ASK_FIRST) for x in asks]
            facts = [self._opened(x, t.FACT_FIRST) for x in facts] if rng.random() < 0.4 else facts
        return facts, asks

    def _composed(self, frames: list[str], person: bool) -> str:
        """A wording put together from slots; never one that is held out."""
        while True:
            text = self.rng.choice(frames)
            while found := re.search(r"<(\w+)>", text):
                text = text.replace(found[0], self.rng.choice(t.SLOTS[found[1]]), 1)
            text = cap(" ".join(text.split()))
            if person and self.rng.random() < 0.3:
                text = re.sub(r"[Tt]he \{a\} (of|for) \{s\}", "{s}'s {a}", text)
            if not is_held_wording(text):
                return text

    def _varied(self, text: str) -> str:
        """A wording with small words dropped, exchanged or put in; slots and words of weight stay."""
        rng = self.rng
        out: list[str] = []
        for word in text.split(" "):
            small = word.lower() in SMALL
            r = rng.random()
            if rng.random() < 0.1:
                out.append(self._small(1, 1))
            if small and r < 0.12:
                continue
            out.append(self._small(1, 1) if small and r < 0.25 else word)
        new = " ".join(out)
        return text if is_held_wording(new) else cap(new)

    def _loosely(self) -> bool:
        """Whether to draw a loose wording. Without a loose share no random number is drawn."""
        return self.loose > 0 and self.rng.random() < self.loose

    def _opened(self, text: str, openings: list[str]) -> str:
        """A sentence after an opening, or after random small words."""
        opening = self.rng.choice(openings) if self.rng.random() < 0.7 else self._small(1, 4)
        return f"{opening} {text if text[0] == '{' else text[0].lower() + text[1:]}"

    def _small(self, low: int, high: int) -> str:
        r = self.rng
        words = (r.choice(t.SMALL) if r.random() < 0.65 else r.choice(OTHER) for _ in range(r.randint(low, high)))
        return " ".join(words)

    def _around(self, text: str, low: int = 0, high: int = 5) -> str:
        """Random small words before and after a text, as a sentence without its full stop."""
        return cap(f"{self._small(low, high)} {text} {self._small(0, high - 1)}".strip())

    def _loose_relation(self) -> tuple[str, str, list[str], list[str], str]:
        """A relation in random small words, so that reading does not hang on the table's few wordings."""
        rng = self.rng
        by_name = rng.random() < 0.85
        facts, asks = [], []
        for _ in range(2):
            named = "{a} " if rng.random() < 0.5 else ""
            ends = ["{s}", "{v}"] if rng.random() < 0.5 else ["{v}", "{s}"]
            middle = f"{self._small(1, 3)} {named}{self._small(0, 2)}"
            facts.append(f"{self._small(0, 4)} {ends[0]} {middle} {ends[1]} {self._small(0, 2)}")
            asked = f"{{a}} {self._small(0, 3)} " if by_name else ""
            asks.append(f"{self._small(0 if by_name else 1, 4)} {asked}{{s}} {self._small(0, 2)}")
        facts = [" ".join(x.split()) + rng.choice((".", ".", ".", "!")) for x in facts]
        asks = [" ".join(x.split()) + "?" for x in asks]
        answer = "The {a} of {s} is {v}." if by_name else "The answer for {s} is {v}."
        return "any", "any", facts, asks, answer

    def _attribute(self) -> str:
        """An attribute noun; in training never the one that would make a held-out wording of another relation."""
        while (attr := self.pick("attr")) == "owner" and not self.held:
            pass
        return attr

    def _subjects(self, kind: str, n: int) -> list[str]:
        names = self.distinct(lambda: self.name_of(kind), n)
        if kind == "person" and n > 1 and self.chance(0.15):  # the same first name: the second one decides
            first = self.pick("first")
            names = [f"{first} {x}" for x in self.distinct(lambda: cap(self.strange()), n)]
        return names

    def _layout(self, facts: list[str], rich: bool) -> str:
        """Facts as running text, as a list or as numbered passages, with filler sentences if rich."""
        rng = self.rng
        style = rng.random()
        if rich:
            facts = [self._padded(f) for f in facts]
        if not self.held and rich and rng.random() < 0.3:
            facts = [f"{self._title()}. {f}" for f in facts]
        if style < 0.35:
            body = " ".join(facts)
            return body if rng.random() < 0.4 else f"{self.wording(t.BLOCK)}: {body}"
        if style < 0.5:
            return "\n".join(facts)
        if style < 0.6:
            return "\n".join(f"- {f}" for f in facts)
        block = self.wording(t.BLOCK)
        numbered = style < 0.9
        glue = "\n" if rng.random() < 0.7 else "\n\n"
        return glue.join(f"{block} {i}: {f}" if numbered else f"[{i}] {f}" for i, f in enumerate(facts, 1))

    def _title(self) -> str:
        return cap(self.topic() if self.chance(0.5) else f"{self._small(1, 2)} {self.word()}")

    def _padded(self, fact: str) -> str:
        r = self.rng.random()
        if r < 0.5:
            return fact
        filler = self.wording(t.FILLERS)
        if self._loosely():
            filler = f"{self._around(self.word() if self.chance(0.5) else '', 1, 5)}."
        return f"{fact} {filler}" if r < 0.75 else f"{filler} {fact}"

    def read(self, n: int = 0, rich: bool = True) -> Item:
        """Facts about n subjects and questions about them; in training several, each answer carrying loss."""
        rng = self.rng
        n = n or rng.randint(1, 4)
        facts, asks, answers, values = self._facts(n)
        order = rng.sample(range(n), n)
        if not self.held and rng.random() < 0.5:
            order += rng.sample(range(n), n)
        how = f"{self._around('', 2, 7).strip()}." if self._loosely() else self.wording(t.READ_HOW)
        context = self._layout(facts, rich and rng.random() < 0.4)
        label = self.wording(t.QUESTION)
        ask = [f"{label}: {q}" if label else q for q in asks]
        blocks = [context, ask[order[0]]]
        if rng.random() < 0.1:
            blocks.reverse()
        blocks = ([how, *blocks] if rng.random() < 0.8 else [*blocks, how]) if how else blocks
        item = Item("read", kind=f"read {n}")
        self.system(item)
        item.say("user", ("\n" if rng.random() < 0.6 else "\n\n").join(blocks))
        item.say("assistant", answers[order[0]])
        for i in order[1:] if not self.held else []:
            item.say("user", ask[i])
            item.say("assistant", answers[i])
        item.value = values[order[0]]
        item.others = tuple(v for v in values if v != item.value)
        return item

    # -- few-shot --------------------------------------------------------------------------------------
    def _copy_pairs(self, k: int) -> list[tuple[str, str, tuple[str, ...]]]:
        """Records of some fields; the output is one (or two) of them, perhaps in a frame."""
        rng = self.rng
        m = rng.randint(1, 4) if self.held else rng.choice((1, 2, 2, 2, 2, 3, 3, 4))
        fields = rng.sample(t.FIELDS, m)
        kinds = [rng.choice(("any", "any", "any", "person", "place", "code")) for _ in fields]
        at = rng.randrange(m)
        inside = rng.choice(("{0}={1}", "{0}: {1}", "{1}", "{1}", "the {0} is {1}", "{1} ({0})"))
        glue = rng.choice((", ", "; ", " | ", " / ", " - ", "\n"))
        glue = ", " if glue == "\n" and self.held else glue
        frame = (
            "{v}"
            if self.held
            else rng.choice(
                ("{v}",) * 12
                + ("{f}: {v}", "{f}={v}", "[{v}]", "The {f} is {v}.", "{v}.", "<{v}>", "JSON", "JSON", "JSON")
            )
        )
        second = rng.randrange(m)
        out = []
        for _ in range(k):
            values = self._distinct_of(kinds)
            text = glue.join(inside.format(f, v) for f, v in zip(fields, values, strict=True))
            if frame == "JSON":
                keys = {fields[at]: values[at]} | ({fields[second]: values[second]} if m > 1 else {})
                target = json.dumps(keys)
            else:
                target = frame.format(v=values[at], f=fields[at])
            out.append((text, target, tuple(values)))
        return out

    def _cue_pairs(self, k: int) -> list[tuple[str, str, tuple[str, ...]]]:
        """Cue words with labels that only the shots reveal; the last pair repeats a cue seen before."""
        rng = self.rng
        n = min(rng.randint(2, 4), k - 1)
        labels, cues = self.distinct(self.word, n), self.distinct(self.word, n)
        use = list(range(n)) + [rng.randrange(n) for _ in range(k - n)]
        head = use[:-1]
        rng.shuffle(head)
        fixed = self.wording(t.MESSAGES) if rng.random() < 0.4 else ""
        frames = ("{v}",) * 5 + ('{{"label": "{v}"}}', '{{"category": "{v}"}}', "[{v}]", "{v}.")
        frame = "{v}" if self.held else rng.choice(frames)

        def pair(i: int) -> tuple[str, str, tuple[str, ...]]:
            if self._loosely():
                return f"{self._around(cues[i])}.", frame.format(v=labels[i]), tuple(labels)
            text = (fixed or self.wording(t.MESSAGES)).format(c=cues[i])
            return cap(text), frame.format(v=labels[i]), tuple(labels)

        return [pair(i) for i in (*head, use[-1])]

    def _near_pairs(self, k: int) -> list[tuple[str, str, tuple[str, ...]]]:
        """Unlike texts with labels; the last text is one of them with a word or two changed."""
        rng = self.rng
        n = k - 1
        texts = [[self.word() for _ in range(rng.randint(4, 8))] for _ in range(n)]
        names = self.distinct(self.word, min(n, rng.randint(2, 4)))
        labels = (names * n)[:n]
        rng.shuffle(labels)
        at = rng.randrange(n)
        near = list(texts[at])
        for _ in range(rng.randint(1, 2)):
            near[rng.randrange(len(near))] = self.word()
        pairs = list(zip([*texts, near], [*labels, labels[at]], strict=True))
        return [(" ".join(x), y, tuple(names)) for x, y in pairs]

    def shots(self, k: int = 0, kind: str = "") -> Item:
        """k solved pairs and one more, in one message or as earlier turns."""
        rng = self.rng
        k = k or rng.choice((2, 3, 3, 4, 4, 5, 6))
        kind = kind or rng.choice(("copy", "copy", "copy", "cue", "near"))
        if kind == "copy" and not self.held and rng.random() < 0.5:
            k = rng.choice((4, 5, 6, 7))  # every output after the first teaches which field is wanted
        make = {"copy": self._copy_pairs, "cue": self._cue_pairs, "near": self._near_pairs}[kind]
        pairs = make(k + 1)
        item = Item("shots", kind=f"shots {kind}", value=pairs[-1][1])
        item.others = tuple(v for v in pairs[-1][2] if v != item.value)
        self.system(item)
        if rng.random() < 0.45:
            self._shots_as_turns(item, pairs)
        else:
            self._shots_as_text(item, pairs)
        item.say("assistant", pairs[-1][1])
        return item

    @staticmethod
    def _determined(kind: str, pairs: list[tuple[str, str, tuple[str, ...]]]) -> list[bool]:
        """Which outputs the earlier pairs give away; loss on the others would only be noise."""
        if kind.endswith("cue"):
            outs = [out for _, out, _ in pairs]
            return [out in outs[:i] for i, out in enumerate(outs)]
        return [i > 0 and kind.endswith("copy") for i in range(len(pairs))]

    def _shots_as_turns(self, item: Item, pairs: list[tuple[str, str, tuple[str, ...]]]) -> None:
        how = self.wording(t.SHOT_HOW) if self.chance(0.4) else ""
        label = self.wording(t.SHOT_IO)[0] + ": " if self.chance(0.5) else ""
        each = self.chance(0.3)
        known = self._determined(item.kind, pairs)
        for i, (text, out, _) in enumerate(pairs):
            head = f"{how}\n" if how and (i == 0 or each) else ""
            item.say("user", f"{head}{label}{text}")
            if i < len(pairs) - 1:
                item.say("assistant", [(out, known[i])])

    def _shots_as_text(self, item: Item, pairs: list[tuple[str, str, tuple[str, ...]]]) -> None:
        how = self.wording(t.SHOT_HOW)
        a, b = self.wording(t.SHOT_IO)
        if self.loose and self.chance(0.5):
            a, b = self.rng.choice(t.SHOT_IN), self.rng.choice(t.SHOT_OUT)
            a, b = ("Input", b) if (a, b) in t.SHOT_IO[1] else (a, b)
        known = self._determined(item.kind, pairs)
        gap, mid = self.rng.choice(("\n", "\n\n")), self.rng.choice(("\n", "\n", " "))
        parts: list[Piece] = [(how + gap, False)] if how else []
        for i, (text, out, _) in enumerate(pairs):
            last = i == len(pairs) - 1
            parts.append((f"{a}: {text}{mid}{b}:", False))
            if not last:
                parts += [(" ", False), (out, known[i]), (gap, False)]
        item.say("user", parts)

    # -- labels ----------------------------------------------------------------------------------------
    def labels(self, kind: str = "") -> Item:
        """Choose a listed label: its word is in the message, or a word of its description, or a synonym."""
        rng = self.rng
        kind = kind or rng.choice(("word", "word", "described", "described", "synonym"))
        n = rng.randint(2, 6)
        bare = rng.random() < 0.4
        if kind == "synonym":
            names = rng.sample(sorted(w.SYNONYMS), n)
            cues = [rng.choice(w.SYNONYMS[x].split()) for x in names]
        else:
            names = self.distinct(lambda: self.word() if self.chance(0.3) else self.pick("label"), n)
            cues = names if kind == "word" else self.distinct(lambda: self.word().lower(), n)
        at = rng.randrange(n)
        if kind == "described":
            listed = "\n".join(f"- {x}: {self._description(c)}" for x, c in zip(names, cues, strict=True))
            listed = f"Labels:\n{listed}"
        else:
            listed = f"{rng.choice(('Labels', 'Labels', 'Categories', 'Choices'))}: {', '.join(names)}"
        item = Item("labels", kind=f"labels {kind}", value=names[at], others=tuple(x for x in names if x != names[at]))
        self.system(item)
        how = self.wording(t.LABEL_HOW) + (f" {self.wording(t.LABEL_BARE)}" if bare else "")
        item.say("user", self._label_blocks(how, listed, self._message(cues[at])))
        item.say("assistant", names[at] if bare else f"The label of the message is {names[at]}.")
        for i in rng.sample(range(n), n)[:3] if not self.held else []:
            item.say("user", f"Message: {self._message(cues[i])}")
            item.say("assistant", names[i] if bare else f"The label of the message is {names[i]}.")
        return item

    def _message(self, cue: str) -> str:
        if self._loosely():
            return self._around(cue) + "."
        text = cap(self.wording(t.MESSAGES).format(c=cue))
        return text if self.chance(0.6) else f"{self.wording(t.FILLERS)} {text}"

    def _description(self, cue: str) -> str:
        more = [self.word().lower() for _ in range(self.rng.randint(0, 2))] + [cue]
        self.rng.shuffle(more)
        return ", ".join(more)

    def _label_blocks(self, how: str, listed: str, message: str) -> str:
        rng = self.rng
        blocks = [listed, f"Message: {message}"]
        rng.shuffle(blocks)
        blocks = [how, *blocks] if rng.random() < 0.75 else [*blocks, how]
        return ("\n" if rng.random() < 0.6 else "\n\n").join(blocks)

    # -- extraction ------------------------------------------------------------------------------------
    def extract(self) -> Item:
        """A short e-mail; name a field in a sentence, or several as JSON when the message asks for JSON."""
        rng = self.rng
        made = {
            "name": (t.MAIL_NAME, self.person()),
            "order number": (t.MAIL_ORDER, self._order()),
            "product": (t.MAIL_PRODUCT, self._product()),
            "city": (t.MAIL_CITY, self.name_of("place")),
            "phone number": (t.MAIL_PHONE, self.digits(6, 8)),
        }
        if self._loosely():
            made |= {a: self._loose_field(a) for a in self.distinct(lambda: self.pick("attr"), 4)}
        fields = rng.sample(sorted(made), rng.randint(2, 4))
        lines = [self.wording(made[f][0]).format(v=made[f][1]) for f in fields]
        if rng.random() < 0.4:
            lines.insert(rng.randint(0, len(lines)), self.wording(t.FILLERS))
        mail = [self.wording(t.MAIL_OPEN), rng.choice(("\n", " ")).join(lines), self.wording(t.MAIL_CLOSE)]
        body = rng.choice(("\n", " ")).join(x for x in mail if x)
        order = rng.sample(fields, len(fields))
        item = Item("extract", kind="extract", value=made[order[0]][1])
        item.others = tuple(made[f][1] for f in fields if f != order[0])
        self.system(item)
        if not self.held and rng.random() < 0.35:
            self._extract_json(item, body, {f: made[f][1] for f in order})
            return item
        blocks = [self.wording(t.MAIL_ASK).format(f=order[0]), f"{self.wording(t.MAIL_BLOCK)}: {body}"]
        if rng.random() < 0.4:
            blocks.reverse()
        item.say("user", ("\n" if rng.random() < 0.5 else "\n\n").join(blocks))
        item.say("assistant", f"The {order[0]} is {made[order[0]][1]}.")
        for f in order[1:] if not self.held else []:
            item.say("user", self.wording(t.MAIL_ASK).format(f=f))
            item.say("assistant", f"The {f} is {made[f][1]}.")
        return item

    def _loose_field(self, name: str) -> tuple[tuple[list[str], list[str]], str]:
        """Any field, told in small words, with any value."""
        middle = self._small(0, 2) or self.rng.choice((":", "="))
        line = " ".join(f"{self._small(0, 3)} {name} {middle} {{v}}".split())
        return ([cap(line) + self.rng.choice((".", "."))], []), self.name_of(self.rng.choice(("any", "code")))

    def _order(self) -> str:
        return self.digits(3, 7) if self.chance(0.7) else self.code()

    def _product(self) -> str:
        r = self.rng.random()
        if r < 0.5:
            return self.pick("noun")
        return f"{self.pick('adj')} {self.pick('noun')}" if r < 0.75 else cap(self.strange())

    def _extract_json(self, item: Item, body: str, values: dict[str, str]) -> None:
        rng = self.rng
        keep = dict(list(values.items())[: rng.randint(1, 3)])
        short = {f.split()[0] if rng.random() < 0.5 else f.replace(" ", "_"): v for f, v in keep.items()}
        how = self.wording(t.JSON_HOW).format(k=", ".join(short))
        blocks = [how, f"{self.wording(t.MAIL_BLOCK)}: {body}"]
        if rng.random() < 0.3:
            blocks.reverse()
        item.say("user", "\n".join(blocks))
        item.say("assistant", json.dumps(short))

    def draw(self, mix: dict[str, float], max_facts: int = 4, long: bool = False) -> Item:
        """One item of a mix of skills; fewer facts and shorter prompts early in the curriculum."""
        skill = self.rng.choices(list(mix), list(mix.values()))[0]
        if skill == "read":
            many = [1, 2, 3, 4][:max_facts]
            return self.read(self.rng.choices(many, [1, 2, 3, 4][: len(many)])[0], rich=long)
        if skill == "repeat" and not long:
            return self.repeat(self.rng.randint(4, 12))
        return getattr(self, skill)()
