"""The terms of licences of models, services and data, as facts/licences.toml holds them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from tuneworthy.plan import facts
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.records import Duty
from tuneworthy.usecase import IntendedUse


class Terms(Fact):
    """One licence version."""

    name: str
    also: tuple[str, ...] = ()
    text: tuple[tuple[str, ...], ...] = ()
    commercial: Literal["yes", "no"]
    users: int = Field(default=0, ge=0)
    revenue_usd: int = Field(default=0, ge=0)
    excludes: tuple[str, ...] = ()
    excludes_for: Literal["", "multimodal", "all"] = ""
    hosting: Literal["free", "ask"] = "free"
    outputs: Literal["free", "name", "display", "derivative", "same_family", "non_commercial"]
    policy: str = ""
    notice: str = ""
    display: str = ""
    name_prefix: str = ""
    passes_terms: bool = False
    keeps_notice: bool = False
    marks_changes: bool = False
    permissive: bool = False
    """derived models may carry another licence"""
    ask: str = ""
    """a question that its text leaves open for everybody"""


class KnownModel(Fact):
    """Which licence the maker's own repository has; `id` is a pattern of hub names."""

    licence: str
    base: str = ""
    multimodal: bool | None = None


class Teacher(Fact):
    """A service that writes examples."""

    also: tuple[str, ...] = ()
    ask: str


class DataTerms(Fact):
    """One licence of data."""

    also: tuple[str, ...] = ()
    training: Literal["free", "attribution", "ask", "non_commercial"]
    ask: str = ""


@dataclass(frozen=True)
class Book:
    """All terms that are known."""

    licences: tuple[Terms, ...]
    models: tuple[KnownModel, ...]
    teachers: tuple[Teacher, ...]
    data: tuple[DataTerms, ...]

    def licence(self, name: str) -> Terms | None:
        """The terms with this id, or declared under this name."""
        name = name.lower()
        return next((terms for terms in self.licences if name == terms.id or name in terms.also), None)

    def by_text(self, text: str) -> Terms | None:
        """The terms that a licence file holds."""
        plain = " ".join(text.lower().split())
        fits = (t for t in self.licences if any(all(p in plain for p in phrases) for phrases in t.text))
        return next(fits, None)

    def model(self, name: str) -> KnownModel | None:
        """What is known of a model by its hub name; the last pattern that fits, since later ones are closer."""
        return next((known for known in reversed(self.models) if fnmatchcase(name.lower(), known.id)), None)

    def teacher(self, name: str) -> Teacher | None:
        """The service of this name, model or address."""
        plain = name.strip().lower().removeprefix("https://").removeprefix("http://")
        return next((t for t in self.teachers if any(fnmatchcase(plain, p) for p in (t.id, *t.also))), None)

    def rows(self, noted: str) -> DataTerms | None:
        """The licence of data that rows note."""
        plain = noted.strip().lower()
        return next((terms for terms in self.data if plain in (terms.id, *terms.also)), None)


def load(today: dt.date) -> Book:
    """The terms that ship with this package. Raises DataError listing every mistake in the file."""
    path = facts.shipped("licences")
    return Book(
        licences=facts.read(path, "licence", Terms, today=today),
        models=facts.read(path, "model", KnownModel, today=today),
        teachers=facts.read(path, "teacher", Teacher, today=today),
        data=facts.read(path, "data", DataTerms, today=today),
    )


def duties_of(terms: Terms, use: IntendedUse) -> Iterator[Duty]:
    """What these terms ask when the model is made available; use inside one's own company asks only for the policy."""

    def duty(kind: str, text: str, value: str = "") -> Duty:
        return Duty.model_validate({"kind": kind, "text": text, "value": value, "by": terms.id})

    if terms.policy:
        yield duty("acceptable_use", f"keep the acceptable-use policy {terms.policy}", terms.policy)
    if use.reach == "inside":
        return
    if terms.passes_terms or (terms.keeps_notice and use.reach == "weights"):
        yield duty("licence_file", f"pass a copy of {terms.name} on", terms.source)
    if terms.notice:
        yield duty("notice", f"keep this line in a file called Notice: “{terms.notice}”", terms.notice)
    elif terms.keeps_notice and use.reach == "weights":
        yield duty("notice", "keep the copyright notices of the files that are passed on")
    if terms.display:
        yield duty("display", f"show “{terms.display}” where users of the product can see it", terms.display)
    if terms.name_prefix:
        yield duty("name_prefix", f"begin the name of the tuned model with “{terms.name_prefix}”", terms.name_prefix)
    if terms.marks_changes and use.reach == "weights":
        yield duty("mark_changes", "say in the changed files that they were changed")
    if terms.policy:
        yield duty("pass_on_limits", "bind whoever receives it to the same limits of use", terms.policy)
