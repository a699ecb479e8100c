"""May this model be used for this, and on which terms: per model revision and through its whole lineage.

    the model ← what it was tuned, merged or quantised from ← …      found in its files, then by its known name
    the rows  ← their licences, and the models or services that wrote some of them

Each link is judged by the terms in facts/licences.toml against [use] of the use case; the worst link decides. What
cannot be told is `unknown`, with the question for a lawyer; it never counts as allowed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuneworthy.plan import facts
from tuneworthy.plan.cards import Card, read_card
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.records import Duty, Licence, LicenceAnswer, Link, Refusal
from tuneworthy.plan.regions import in_region
from tuneworthy.plan.terms import Book, KnownModel, Terms, duties_of
from tuneworthy.usecase import IntendedUse

FindFolder = Callable[[str], Path | None]
"""Name of a model → its folder, where it is at hand."""

Role = Literal["model", "base", "merged"]

USD_TO_EUR_CAREFUL = 0.8
"""A limit in dollars is compared with revenue in euros at a rate that makes the limit smaller."""

_ORDER: dict[LicenceAnswer, int] = {"allowed": 0, "allowed with duties": 1, "unknown": 2, "not allowed": 3}
_MOST_LINKS = 40
"""Cards that name each other without end are not followed further."""


def resolve(
    base: str,
    use: IntendedUse,
    *,
    find: FindFolder,
    book: Book,
    today: dt.date,
    revision: str = "",
    data_licences: Mapping[str, int] | None = None,
) -> Licence:
    """Judge a model with its lineage, and the rows it will learn from, against the intended use.

    Args:
        base: name or folder of the base model, as the use case names it.
        find: looks a model's folder up; None where its files are not at hand.
        revision: commit of the base model; empty = not pinned, and a warning says so.
        data_licences: licence as noted in the rows → number of rows; empty text = not noted.
    """
    trail = _Trail(use, find, book)
    trail.follow(base, "model")
    own = {link.licence for link in trail.links}
    for name in use.teachers:
        trail.learn_from(name, own)
    for name, rows in (data_licences or {}).items():
        trail.read_rows(name, rows)
    answer: LicenceAnswer = max((link.answer for link in trail.links), key=_ORDER.__getitem__, default="unknown")
    held = list(trail.consulted.values())
    warnings = [
        *facts.stale_warning(held, today, "licence terms"),
        *(f"not verified: {fact.id} ({fact.source})" for fact in held if not fact.verified),
        *([] if revision or not re.fullmatch(r"[\w.-]+/[\w.-]+", base) else [_unpinned(base)]),
        *trail.warnings,
    ]
    return Licence(
        answer=answer,
        links=tuple(trail.links),
        duties=_once(trail.duties) if answer != "not allowed" else (),
        questions=tuple(dict.fromkeys(trail.questions)),
        contradictions=tuple(dict.fromkeys(trail.contradictions)),
        warnings=tuple(warnings),
        refusals=tuple(
            Refusal(gate="licence", what=f"{link.name}: {link.reason}", why="its licence forbids this use", next=_OTHER)
            for link in trail.links
            if link.answer == "not allowed"
        ),
    )


_OTHER = "choose a base model (or rows) under Apache-2.0 or MIT, or get a licence from its maker"


def _unpinned(base: str) -> str:
    return f"{base}: model.revision names no commit, and the licence of a repository can change with the next one"


@dataclass
class _Trail:
    """Links as they are found."""

    use: IntendedUse
    find: FindFolder
    book: Book
    links: list[Link] = field(default_factory=list)
    duties: list[Duty] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    consulted: dict[str, Fact] = field(default_factory=dict)

    def follow(self, name: str, role: Role) -> None:
        """Judge a model, then everything it was made from."""
        if any(link.name == name for link in self.links) or len(self.links) >= _MOST_LINKS:
            return
        folder = self.find(name)
        card = read_card(folder) if folder is not None else Card()
        known = self.book.model(name)
        if known is not None:
            self.consulted[known.id] = known
        self.warnings += [f"{name}: {problem}" for problem in card.problems]
        multimodal = known.multimodal if known and known.multimodal is not None else card.multimodal
        found = self._found(name, card, known)
        for terms, where in found:
            self._add(name, role, terms, where, multimodal)
        if card.text and self.book.by_text(card.text) is None:
            self._not_known(name, role, f"its {card.text_file} is none that is known here", card.text_file)
        elif not found:
            said = f"declares {card.licence!r}, which is not known here" if card.licence else "no licence was found"
            self._not_known(name, role, said, "README.md" if card.licence else "not found")
        self._contradicting(name, found)
        bases = card.bases or ((known.base,) if known and known.base else ())
        before = len(self.links)
        for base in bases:
            self.follow(base, "merged" if card.relation == "merge" or len(bases) > 1 else "base")
        self._freer_than_base(name, found, self.links[before:])
        for dataset in card.datasets:
            self.warnings.append(f"{name} was trained on {dataset}: the licence of that data set was not looked up")

    def _found(self, name: str, card: Card, known: KnownModel | None) -> list[tuple[Terms, str]]:
        """Terms by where they stand: the licence file, the card, and what the maker's repository has."""
        candidates = [
            (self.book.by_text(card.text) if card.text else None, card.text_file),
            (self.book.licence(card.licence) if card.licence else None, "README.md"),
            (self.book.licence(known.licence) if known else None, "known by its name"),
        ]
        found: dict[str, tuple[Terms, str]] = {}
        for terms, where in candidates:
            if terms is not None:
                found.setdefault(terms.id, (terms, where))
        return list(found.values())

    def _contradicting(self, name: str, found: Sequence[tuple[Terms, str]]) -> None:
        if len(found) < 2:
            return
        told = ", ".join(f"{where}: {terms.name}" for terms, where in found)
        self.contradictions.append(f"{name} stands under several licences ({told}); the strictest was taken")
        self.questions.append(f"{name}: which licence holds ({told})?")

    def _freer_than_base(self, name: str, found: Sequence[tuple[Terms, str]], bases: Sequence[Link]) -> None:
        """A card cannot give away what its base does not."""
        for link in bases:
            held = self.book.licence(link.licence)
            if held is None or held.permissive:
                continue
            for terms, where in found:
                if terms.permissive:
                    self.contradictions.append(
                        f"{name} declares {terms.name} ({where}), but {link.name} is under {held.name}, "
                        "which binds what is made from it"
                    )

    def _not_known(self, name: str, role: Role, said: str, where: str) -> None:
        self.questions.append(f"{name}: {said}: what does its licence allow?")
        self.links.append(Link(name=name, role=role, answer="unknown", reason=said, found_in=where))

    def _add(self, name: str, role: Role, terms: Terms, where: str, multimodal: bool | None) -> None:
        self.consulted[terms.id] = terms
        answer, reason = self._judged(name, terms, multimodal)
        duties = list(duties_of(terms, self.use)) if answer != "not allowed" else []
        if answer == "allowed" and duties:
            answer, reason = "allowed with duties", ", ".join(dict.fromkeys(d.kind for d in duties))
        self.duties += duties
        self.links.append(
            Link(
                name=name,
                role=role,
                licence=terms.id,
                found_in=where,
                answer=answer,
                reason=reason,
                source=terms.source,
                verified=terms.verified,
            )
        )

    def _judged(self, name: str, terms: Terms, multimodal: bool | None) -> tuple[LicenceAnswer, str]:
        """The first rule that speaks. Questions are kept aside."""
        use = self.use
        if use.commercial and terms.commercial == "no":
            return "not allowed", f"{terms.name} allows no commercial use"
        if terms.users and use.monthly_active_users > terms.users:
            return "not allowed", (
                f"{terms.name} needs a licence of its own above {terms.users:,} monthly users, "
                f"and {use.monthly_active_users:,} are planned"
            )
        cap = terms.revenue_usd * USD_TO_EUR_CAREFUL
        if cap and use.group_revenue_eur_per_month is not None and use.group_revenue_eur_per_month > cap:
            return "not allowed", f"{terms.name} ends at {terms.revenue_usd:,} USD of group revenue a month"
        excluded = terms.excludes and any(in_region(use.seat, region) for region in terms.excludes)
        if excluded and (terms.excludes_for == "all" or multimodal):
            which = "this" if terms.excludes_for == "all" else "multimodal"
            return "not allowed", f"{terms.name} gives companies in {use.seat} no rights to {which} model" + "s" * (
                which == "multimodal"
            )
        asked = list(self._open(name, terms, multimodal, bool(excluded)))
        self.questions += asked
        return ("unknown", asked[0].partition(": ")[2]) if asked else ("allowed", "")

    def _open(self, name: str, terms: Terms, multimodal: bool | None, excluded: bool) -> Iterator[str]:
        if terms.revenue_usd and self.use.group_revenue_eur_per_month is None:
            yield (
                f"{name}: is the revenue of the whole group below {terms.revenue_usd:,} USD a month? "
                "(say it as use.group_revenue_eur_per_month)"
            )
        if excluded and multimodal is None:
            yield f"{name}: does it take images? {terms.name} gives companies in {self.use.seat} no rights if it does"
        if terms.hosting == "ask" and self.use.reach == "customers":
            yield f"{name}: does offering it to customers as a service need a licence of its own under {terms.name}?"
        if terms.ask and (self.use.commercial or self.use.reach != "inside"):
            yield f"{name}: {terms.ask}"

    # --- what it learns from ---

    def learn_from(self, name: str, own: set[str]) -> None:
        """Judge a model or service whose answers are among the examples."""
        terms, known = self._teacher_terms(name)
        service = self.book.teacher(name)
        if terms is None and service is not None:
            self.consulted[service.id] = service
            self.questions.append(f"answers of {name}: {service.ask}")
            self._learnt(name, "unknown", service.ask, source=service.source, verified=service.verified)
            return
        if terms is None:
            reason = "its terms are not known here"
            self.questions.append(f"answers of {name}: may they be used to train another model?")
            self._learnt(name, "unknown", reason)
            return
        self.consulted[terms.id] = terms
        answer, reason, duties = self._outputs(terms, own)
        self.duties += duties
        verified = terms.verified and (known is None or known.verified)
        self._learnt(name, answer, reason, licence=terms.id, source=terms.source, verified=verified)

    def _teacher_terms(self, name: str) -> tuple[Terms | None, KnownModel | None]:
        known = self.book.model(name)
        folder = self.find(name)
        card = read_card(folder) if folder is not None else Card()
        found = self._found(name, card, known)
        if known is not None:
            self.consulted[known.id] = known
        return (max((terms for terms, _ in found), key=lambda t: _STRICT[t.outputs], default=None)), known

    def _outputs(self, terms: Terms, own: set[str]) -> tuple[LicenceAnswer, str, list[Duty]]:
        """What training on answers of a model under these terms asks."""
        if terms.outputs == "non_commercial" and self.use.commercial:
            return "not allowed", f"{terms.name} allows no commercial use of models trained on its answers", []
        if terms.outputs == "same_family" and terms.id not in own:
            return "not allowed", f"{terms.name} forbids improving other models with its answers", []
        public = self.use.reach != "inside"
        kinds: dict[str, tuple[str, ...]] = {
            "name": ("name_prefix",),
            "display": ("display",),
            "derivative": ("licence_file", "notice", "acceptable_use", "mark_changes"),
        }
        wanted = kinds.get(terms.outputs, ())
        duties = [duty for duty in duties_of(terms, self.use) if duty.kind in wanted] if public else []
        if terms.outputs == "derivative":
            self.questions.append(f"a model trained on answers under {terms.name} may count as derived: does this one?")
            return "unknown", "the trained model may count as derived from it", duties
        return ("allowed with duties", ", ".join(d.kind for d in duties), duties) if duties else ("allowed", "", [])

    def _learnt(self, name: str, answer: LicenceAnswer, reason: str, **more: object) -> None:
        self.links.append(
            Link.model_validate({"name": name, "role": "teacher", "answer": answer, "reason": reason, **more})
        )

    def read_rows(self, name: str, rows: int) -> None:
        """Judge the licence that is noted in rows."""
        told = f"{rows:,} rows"
        if not name.strip():
            self.warnings.append(f"{told} note no licence: taken as your own, by contract and GDPR")
            return
        terms = self.book.rows(name)
        if terms is None:
            self.questions.append(f"{told} under {name!r}: does that licence allow training on them?")
            self.links.append(Link(name=told, role="data", answer="unknown", reason=f"{name!r} is not known here"))
            return
        self.consulted[f"data {terms.id}"] = terms
        answer: LicenceAnswer = "allowed"
        reason = ""
        if terms.training == "non_commercial" and self.use.commercial:
            answer, reason = "not allowed", f"{terms.id} allows no commercial use"
        elif terms.training == "ask":
            answer, reason = "unknown", terms.ask
            self.questions.append(f"{told} under {terms.id}: {terms.ask}")
        elif terms.training == "attribution" and self.use.reach != "inside":
            answer, reason = "allowed with duties", "attribution"
            self.duties.append(
                Duty(kind="attribution", text=f"name the sources of the {told} under {terms.id}", by=terms.id)
            )
        self.links.append(
            Link(
                name=told,
                role="data",
                licence=terms.id,
                found_in="the rows",
                answer=answer,
                reason=reason,
                source=terms.source,
                verified=terms.verified,
            )
        )


_STRICT = {"free": 0, "display": 1, "name": 2, "derivative": 3, "same_family": 4, "non_commercial": 5}


def name_problem(name: str, licence: Licence) -> str:
    """Why a tuned model must not be called so; empty when it may."""
    for duty in licence.duties:
        if duty.kind == "name_prefix" and not name.lower().startswith(duty.value.lower()):
            return f"the name must begin with {duty.value!r} ({duty.by})"
    return ""


def _once(duties: Iterable[Duty]) -> tuple[Duty, ...]:
    return tuple({(duty.kind, duty.value or duty.text): duty for duty in duties}.values())
