"""Does everything that a use case names keep its privacy posture, and what does the law ask? Information, not advice.

The posture check walks all fields of the use case, whatever they are called, so a judge, a tracker or an endpoint that
is added later is looked at without anybody thinking of it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from tuneworthy.errors import PrivacyRefused
from tuneworthy.models.openai_compatible import is_private
from tuneworthy.plan import facts
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.prices import Offer
from tuneworthy.plan.records import Contact, Figure, LawPoint, Privacy, Refusal, estimate, unknown
from tuneworthy.plan.regions import in_region
from tuneworthy.usecase import UseCase

GENERAL_PURPOSE_FLOP = 1e23
"""Indicative threshold of the Commission's guidelines of 18 July 2025; see facts/law.toml."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_ADDRESS_KEYS = ("endpoint", "url", "uri", "host", "server", "address", "base_url", "api_base")
_WORDS = ("instruction", "description", "rubric", "anchors", "labels", "override", "teachers", "pattern")
"""Texts for people and models: a link in them is not a connection."""
_SCHEMA = "output.schema."
_SCHEMA_LINKS = ("$ref", "$dynamicRef")
"""What a validator could follow; the other links of a JSON Schema are names."""


class Host(Fact):
    """A host outside of one's own network whose company is known; `id` is its name or the end of it."""

    company: str
    seat: str
    region: str = ""


class Pretraining(Fact):
    """Tokens that the maker trained on; `id` is a pattern of hub names."""

    tokens: int = Field(gt=0)


class Rule(Fact):
    """Something that the law asks."""

    when: Literal["always", "customers", "personal data"]
    what: str


@dataclass(frozen=True)
class Law:
    """Hosts, rules and compute, as facts/law.toml holds them."""

    hosts: tuple[Host, ...]
    pretraining: tuple[Pretraining, ...]
    rules: tuple[Rule, ...]

    def host(self, name: str) -> Host | None:
        """What is known of a host; the longest name that fits."""
        fits = [host for host in self.hosts if name == host.id or name.endswith(f".{host.id}")]
        return max(fits, key=lambda host: len(host.id), default=None)


def load(today: dt.date = dt.date.max) -> Law:
    """The law that ships with this package; `today` matters only where the age of a row is told.

    Raises:
        DataError: mistakes in the file, all of them listed.
    """
    path = facts.shipped("law")
    return Law(
        hosts=facts.read(path, "host", Host, today=today),
        pretraining=facts.read(path, "pretraining", Pretraining, today=today),
        rules=facts.read(path, "rule", Rule, today=today),
    )


# --- posture -------------------------------------------------------------------------------------


def contacts(usecase: UseCase, law: Law) -> tuple[Contact, ...]:
    """Every address that the use case names, each judged by the posture."""
    table = usecase.model_dump(mode="json", by_alias=True)
    return tuple(_judged(key, address, usecase, law) for key, address in _addresses(table))


def require_posture(usecase: UseCase, law: Law) -> None:
    """Raise PrivacyRefused (exit code 3) when the use case names an address that its posture forbids."""
    refused = [contact for contact in contacts(usecase, law) if contact.answer == "refused"]
    if refused:
        first, more = refused[0], f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise PrivacyRefused(
            f"the privacy posture is {usecase.privacy}, but {first.key} names {first.host}{more}: {first.reason}",
            why="data of the use case would go there",
            next=f"name a host of your own network as {first.key}, or change privacy in usecase.toml if sending the "
            "data there is allowed",
            where=first.key,
        )


def _addresses(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, address) of everything that is an address by its form, or by the name of its field."""
    last = key.rsplit(".", 1)[-1]
    if last in _WORDS:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _addresses(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _addresses(item, f"{key}[{number}]")
    elif isinstance(value, str) and value.strip() and (last in _SCHEMA_LINKS or not key.startswith(_SCHEMA)):
        plain = value.strip()
        if _URL.fullmatch(plain) or (_is_address_key(last) and not re.search(r"\s", plain)):
            yield key, plain


def _is_address_key(name: str) -> bool:
    plain = re.sub(r"\[\d+\]$", "", name)
    return plain in _ADDRESS_KEYS or plain.endswith(("_url", "_uri", "_endpoint", "_host"))


def _judged(key: str, address: str, usecase: UseCase, law: Law) -> Contact:
    host = _host(address)
    told = {"key": key, "host": host or address}
    if address.startswith("file:"):
        return Contact.model_validate({**told, "answer": "kept", "reason": "a file on this machine"})
    if not host:
        return Contact.model_validate({**told, "answer": "refused", "reason": "no host can be read from it"})
    if is_private(host):
        return Contact.model_validate({**told, "answer": "kept", "reason": "this machine or your own network"})
    known = law.host(host)
    answer, reason = _outside(usecase.privacy, known)
    return Contact.model_validate({**told, "answer": answer, "reason": reason, "source": known.source if known else ""})


def _outside(posture: str, known: Host | None) -> tuple[str, str]:
    """A host outside of one's own network."""
    who = f"{known.company}, established in {known.seat}" if known else "whose it is and where it stands is not known"
    if posture == "on_premises":
        return "refused", f"it lies outside of your own network ({who})"
    if posture == "any":
        return "kept", who
    if known is None:
        return "unknown", f"{who}: ask for its place and for a processing contract"
    if known.region == "EU":
        return (
            ("kept", who)
            if in_region(known.seat, "EU")
            else ("unknown", f"{who}, with machines in the EU: look at the contract")
        )
    return "refused", f"it is not in the EU ({who})"


def _host(address: str) -> str:
    """The host of an address, with or without a scheme; empty when there is none."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        return (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _offer_contact(offer: Offer, posture: str) -> Contact:
    """A price offer: renting it would move the data there."""
    where = f"{offer.provider} in {offer.region}"
    told = {"key": f"offer {offer.id}", "host": offer.provider, "source": offer.source}
    if posture == "on_premises" and not offer.own:
        return Contact.model_validate({**told, "answer": "refused", "reason": f"{where} is not your own machine"})
    if posture == "eu_cloud" and offer.region != "EU" and not offer.own:
        return Contact.model_validate({**told, "answer": "refused", "reason": f"{where} is not in the EU"})
    if posture == "eu_cloud" and not offer.eu_provider and not offer.own:
        reason = f"{where}, a company from elsewhere: look at the contract"
        return Contact.model_validate({**told, "answer": "unknown", "reason": reason})
    return Contact.model_validate({**told, "answer": "kept", "reason": where})


# --- compute -------------------------------------------------------------------------------------


def compute_ratio(base: str, parameters: int | None, tuning_flop: Figure, law: Law) -> tuple[Figure, str]:
    """Share of the one-third indicator that this tuning uses, and the arithmetic in a sentence.

    Args:
        parameters: of the base model.
        tuning_flop: of one training (4ND for LoRA, 6ND for full, more with recompute).
    """
    if tuning_flop.value is None:
        return unknown("of the indicator", tuning_flop.source), ""
    row = next((row for row in reversed(law.pretraining) if fnmatchcase(base.lower(), row.id)), None)
    if row is not None and parameters:
        original = 6.0 * parameters * row.tokens
        how = f"6 × {parameters:.3g} parameters × {row.tokens:.3g} tokens = {original:.2g} FLOP ({row.source})"
    else:
        original = GENERAL_PURPOSE_FLOP
        how = f"the original's compute is not known, so {original:.0e} FLOP stands in its place"
    third = original / 3
    share = tuning_flop.times(1 / third, "of the indicator", source="tuning FLOP ÷ (original FLOP ÷ 3)")
    verdict = "above" if (share.value or 0) > 1 else "below"
    told = (
        f"{tuning_flop.value:.2g} FLOP of tuning ÷ ({original:.2g} FLOP ÷ 3) = {share.value:.1g}: {verdict} the "
        f"compute criterion; {how}"
    )
    return estimate(share.value or 0.0, share.unit, share.source, low=share.low, high=share.high), told


# --- together ------------------------------------------------------------------------------------


def privacy(
    usecase: UseCase,
    law: Law,
    *,
    today: dt.date,
    parameters: int | None,
    tuning_flop: Figure,
    personal: Mapping[str, int] | None,
    offers: Sequence[Offer] = (),
) -> Privacy:
    """The section of a plan.

    Args:
        personal: kind of personal data → rows, as the data checks found them; None = they were not run.
        offers: GPUs that the plan would rent.
    """
    seen = (*contacts(usecase, law), *(_offer_contact(offer, usecase.privacy) for offer in offers))
    share, arithmetic = compute_ratio(usecase.model.base, parameters, tuning_flop, law)
    touched = bool(personal) or usecase.use.personal_data
    rules = [rule for rule in law.rules if _applies(rule, usecase, personal=touched)]
    warnings = [*_about_personal(usecase, personal), *facts.stale_warning(rules, today, "law")]
    return Privacy(
        posture=usecase.privacy,
        contacts=seen,
        personal=dict(personal or {}),
        compute_share=share,
        arithmetic=arithmetic,
        law=tuple(LawPoint(id=r.id, what=r.what, source=r.source, date=r.date, verified=r.verified) for r in rules),
        refusals=tuple(_refusals(seen, usecase.privacy)),
        warnings=tuple(warnings),
    )


def _applies(rule: Rule, usecase: UseCase, *, personal: bool) -> bool:
    if not in_region(usecase.use.region, "EU") and not in_region(usecase.use.seat, "EU"):
        return False
    return {"always": True, "customers": usecase.use.reach != "inside", "personal data": personal}[rule.when]


def _about_personal(usecase: UseCase, personal: Mapping[str, int] | None) -> Iterator[str]:
    if not in_region(usecase.use.region, "EU") and not in_region(usecase.use.seat, "EU"):
        yield f"the law of {usecase.use.region} is not looked at here: ask somebody who knows it"
    if personal is None:
        yield "whether the rows hold personal data was not measured (run: tuneworthy data check)"
    elif personal and not usecase.use.personal_data:
        kinds = ", ".join(f"{kind.replace('_', ' ')} in {rows:,} rows" for kind, rows in personal.items())
        yield f"use.personal_data is false, but the data checks found some: {kinds}"
    elif not personal and usecase.use.personal_data:
        yield "use.personal_data is true; the data checks found no fixed form of it (names are not looked for)"


def _refusals(seen: Iterable[Contact], posture: str) -> Iterator[Refusal]:
    for contact in seen:
        if contact.answer == "refused":
            yield Refusal(
                gate="privacy",
                what=f"{contact.key}: {contact.host}",
                why=f"the posture is {posture}, and {contact.reason}",
                next="name a host of your own network, or change privacy in usecase.toml",
            )
