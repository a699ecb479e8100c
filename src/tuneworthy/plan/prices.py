"""Prices and assumptions: what ships with this package, and the user's own, which win.

The user's file is prices.toml beside usecase.toml, with tables of the same kind: [[offer]], [[exchange]], [[api]], …
and, for the assumptions of facts/work.toml, a table of the assumption's name.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from tuneworthy.errors import DataError, Problem
from tuneworthy.measure.spent import TokenPrice
from tuneworthy.plan import facts
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.records import Figure
from tuneworthy.records import Record

HOURS_PER_MONTH = 730.0
"""365 days × 24 hours / 12"""
OWN = "prices.toml"
_STATED = "https://localhost/prices.toml"
"""Where the user's own rows were read, when they name no other source."""


class Offer(Fact):
    """A GPU that can be rented."""

    provider: str
    gpu: str
    """id in facts/gpus.toml"""
    gpus: int = Field(default=1, ge=1)
    """how many GPUs the price is for"""
    price: FiniteFloat = Field(gt=0.0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    per: Literal["hour", "month"] = "hour"
    region: str
    eu_provider: bool = False
    own: bool = False
    """stated by the user"""


class Exchange(Fact):
    """One unit of a currency in EUR."""

    eur: FiniteFloat = Field(gt=0.0)
    low: FiniteFloat = Field(gt=0.0)
    high: FiniteFloat = Field(gt=0.0)

    @model_validator(mode="before")
    @classmethod
    def _one_number_is_enough(cls, row: Any) -> Any:
        if isinstance(row, dict) and "eur" in row:
            return {"low": row["eur"], "high": row["eur"], **row}
        return row

    @model_validator(mode="after")
    def _ordered(self) -> Exchange:
        if not self.low <= self.eur <= self.high:
            raise ValueError("low ≤ eur ≤ high does not hold")
        return self


class Api(Fact):
    """The price of a service, per million tokens."""

    tier: Literal["small", "large"]
    price_in: FiniteFloat = Field(ge=0.0)
    price_out: FiniteFloat = Field(ge=0.0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    eu_provider: bool = False


class Throughput(Fact):
    """Tokens that one GPU writes in a second with a model of 8 billion parameters."""

    tokens_per_second: FiniteFloat = Field(gt=0.0)


class Energy(Fact):
    """The price of electricity."""

    eur_per_kwh: FiniteFloat = Field(gt=0.0)


class Power(Fact):
    """What a GPU takes under load."""

    watts: FiniteFloat = Field(gt=0.0)


class Assumption(Record):
    """A number that nobody measured, with its range and its reason."""

    value: FiniteFloat = Field(ge=0.0)
    low: FiniteFloat = Field(ge=0.0)
    high: FiniteFloat = Field(ge=0.0)
    unit: str
    why: str = Field(min_length=10)
    own: bool = False
    """stated by the user"""

    @model_validator(mode="after")
    def _ordered(self) -> Assumption:
        if not self.low <= self.value <= self.high:
            raise ValueError("low ≤ value ≤ high does not hold")
        return self

    @property
    def figure(self) -> Figure:
        """As a number of a plan."""
        return Figure(
            value=self.value,
            low=self.low,
            high=self.high,
            unit=self.unit,
            basis="stated by the user" if self.own else "estimated",
            source=self.why if self.own else f"assumption: {self.why}",
        )


_TABLES: dict[str, type[Fact]] = {
    "offer": Offer,
    "exchange": Exchange,
    "api": Api,
    "throughput": Throughput,
    "energy": Energy,
    "power": Power,
}

Row = TypeVar("Row", bound=Fact)


@dataclass(frozen=True)
class Prices:
    """Everything that has a price, and every assumption about work."""

    offers: tuple[Offer, ...]
    exchange: tuple[Exchange, ...]
    apis: tuple[Api, ...]
    throughput: tuple[Throughput, ...]
    energy: tuple[Energy, ...]
    power: tuple[Power, ...]
    work: dict[str, Assumption]
    today: dt.date

    def assumed(self, name: str) -> Figure:
        """One assumption about work as a figure."""
        return self.work[name].figure

    def eur(self, amount: float, currency: str, *, unit: str, of: Fact) -> Figure:
        """An amount of the fact `of` in EUR, with the range of the exchange rate."""
        rate = next((rate for rate in self.exchange if rate.id == currency), None)
        low, mid, high = (1.0, 1.0, 1.0) if rate is None else (rate.low, rate.eur, rate.high)
        return Figure(
            value=amount * mid,
            low=amount * low if low < high else None,
            high=amount * high if low < high else None,
            unit=unit,
            basis="stated by the user" if isinstance(of, Offer) and of.own else "published",
            source=of.source if rate is None else f"{of.source} at {rate.eur:g} EUR for 1 {currency} ({rate.date})",
            date=of.date if rate is None else min(of.date, rate.date),
        )

    def hourly(self, offer: Offer) -> Figure:
        """EUR for one GPU for one hour."""
        hours = HOURS_PER_MONTH if offer.per == "month" else 1.0
        return self.eur(offer.price / offer.gpus / hours, offer.currency, unit="EUR/h", of=offer)

    def offers_for(self, gpu: str, *, region: str = "", privacy: str = "any") -> tuple[Offer, ...]:
        """Offers of a GPU that the posture allows, the user's own first, then the cheapest by the hour.

        Nothing may be rented on_premises; eu_cloud asks for a machine in the EU. A region other than EU and an empty
        one allow every place.
        """
        if privacy == "on_premises":
            return ()
        wanted = "EU" if privacy == "eu_cloud" or region.upper() == "EU" else ""
        fitting = [o for o in self.offers if o.gpu == gpu and (not wanted or o.region == wanted or o.own)]
        return tuple(sorted(fitting, key=lambda o: (not o.own, self.hourly(o).value or 0.0, o.id)))

    def warnings(self, used: Iterable[Fact]) -> tuple[str, ...]:
        """What is to be known of the rows that a plan used: too old, not verified."""
        held = tuple(dict.fromkeys(used))
        doubtful = [fact.id for fact in held if not fact.verified]
        told = facts.stale_warning(held, self.today, "prices")
        return (*told, f"not verified at the vendor: {', '.join(doubtful)}") if doubtful else told


def load(folder: Path | None, *, today: dt.date) -> Prices:
    """The tables that ship with this package, with those of the user's prices.toml before them.

    Raises:
        DataError: a row is wrong: not a number above zero, a currency without an exchange rate, a date that is none or
            lies in the future, an unknown key. Every mistake is listed.
    """
    own = folder / OWN if folder is not None and (folder / OWN).is_file() else None
    held = {name: _rows(name, kind, own, today) for name, kind in _TABLES.items()}
    prices = Prices(
        offers=_of(held["offer"], Offer),
        exchange=_of(held["exchange"], Exchange),
        apis=_of(held["api"], Api),
        throughput=_of(held["throughput"], Throughput),
        energy=_of(held["energy"], Energy),
        power=_of(held["power"], Power),
        work=_work(own),
        today=today,
    )
    _require_exchange(prices, own or facts.shipped("prices"))
    return prices


def token_price(folder: Path, model: str, *, today: dt.date) -> TokenPrice | None:
    """What the user's prices.toml says that the tokens of `model` cost, in EUR; None where it says nothing of it.
    Prices that ship with this package are no one's bill, so they do not count here.

    Raises:
        DataError: a row of prices.toml is wrong.
    """
    own = folder / OWN
    if not own.is_file():
        return None
    prices = load(folder, today=today)
    stated = {str(row.get("id")) for row in _parsed(own).get("api", [])}
    api = next((api for api in prices.apis if api.id == model and model in stated), None)
    if api is None:
        return None
    per_in, per_out = (
        prices.eur(amount, api.currency, unit="EUR", of=api).value for amount in (api.price_in, api.price_out)
    )
    return TokenPrice(eur_in=per_in or 0.0, eur_out=per_out or 0.0, source=api.source)


def _of(rows: Sequence[Fact], kind: type[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if isinstance(row, kind))


def _rows(name: str, kind: type[Fact], own: Path | None, today: dt.date) -> tuple[Fact, ...]:
    """Rows of a table, the user's in the place of those with the same id."""
    shipped = facts.read(facts.shipped("prices"), name, kind, today=today)
    if own is None or name not in _parsed(own):
        return shipped
    stated = facts.read(
        own, name, kind, today=today, fill={"source": _STATED, **({"own": True} if name == "offer" else {})}
    )
    ids = {row.id for row in stated}
    return (*stated, *(row for row in shipped if row.id not in ids))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        held = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", [], next="repair the file", where=str(path)) from None
    return held


def _work(own: Path | None) -> dict[str, Assumption]:
    """Assumptions by name, the user's in the place of those that ship."""
    path = facts.shipped("work")
    work = {name: Assumption.model_validate(row) for name, row in _parsed(path).items()}
    if own is None:
        return work
    problems = []
    for name, row in _parsed(own).items():
        if name in _TABLES:
            continue
        if name not in work:
            near = get_close_matches(name, [*work, *_TABLES], n=1, cutoff=0.5)
            problems.append(Problem(name, "", "unknown table", f"did you mean {near[0]!r}?" if near else ""))
            continue
        try:
            work[name] = _stated(row, work[name])
        except ValidationError as error:
            problems += [facts.problem(name, item) for item in error.errors(include_url=False, include_context=False)]
    if problems:
        raise DataError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)} in the prices",
            problems,
            next="correct them; nothing was taken from this file",
            where=str(own),
        )
    return work


def _stated(row: Any, shipped: Assumption) -> Assumption:
    """A user's table, or bare number, over the one that ships; a value without a range is exact."""
    table = row if isinstance(row, dict) else {"value": row}
    ends = {"low": table.get("value"), "high": table.get("value")} if "value" in table else {}
    kept = {"unit": shipped.unit, "why": "stated in prices.toml", "own": True}
    return Assumption.model_validate({**kept, **ends, **table})


def _require_exchange(prices: Prices, where: Path) -> None:
    known = {"EUR", *(rate.id for rate in prices.exchange)}
    priced: list[Offer | Api] = [*prices.offers, *prices.apis]
    odd = [row for row in priced if row.currency not in known]
    if odd:
        problems = [Problem(f"{row.id}.currency", row.currency, "has no exchange rate") for row in odd]
        raise DataError(
            f"{len(odd)} price{'s' * (len(odd) > 1)} in a currency without an exchange rate",
            problems,
            next='write [[exchange]] with id = "…", eur = what one unit is in EUR, and date',
            where=str(where),
        )
