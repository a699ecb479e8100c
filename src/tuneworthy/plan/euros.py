"""What it costs in euros, before anything is spent: data work, compute, evaluation, deployment, and every month after.

Prices have a source and a date (facts/prices.toml); work rests on assumptions with a range and a reason
(facts/work.toml). Both give way to the user's own prices.toml.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuneworthy.plan.facts import Fact
from tuneworthy.plan.prices import HOURS_PER_MONTH, Api, Prices
from tuneworthy.plan.records import Euros, Figure, Post, Scenario, Serving, estimate, product, total, unknown

LARGE = 10_000
"""Rows from which several people work on the data (design, section 1: 10,000 to 100,000 for full fine-tuning)."""
REFERENCE_PARAMETERS = 8e9
"""Size of the model behind [[throughput]]."""


@dataclass(frozen=True)
class Have:
    """What is already there."""

    rows: int = 0
    """usable examples, as the data engine counts them"""
    doubtful: int | None = None
    """rows that its checks want looked at; None = the checks were not run"""
    cases: int = 0
    """cases of the suite"""
    cases_wanted: int = 200


@dataclass(frozen=True)
class Traffic:
    """What is asked in production; None = not said, not counted."""

    answers_per_month: int | None = None
    tokens_in: Figure | None = None
    """per answer"""
    tokens_out: Figure | None = None
    """per answer"""
    parameters: int | None = None
    """weights that one token passes through"""
    least_gpus: int = 1
    """GPUs that hold the model, however little is asked"""


def euros(
    scenario: Scenario,
    one_training: Figure,
    prices: Prices,
    *,
    price: Figure | None = None,
    used: Sequence[Fact] = (),
    have: Have | None = None,
    traffic: Traffic | None = None,
) -> Euros:
    """The bill of a first version that works, and of each month after it.

    Args:
        one_training: hours of wall time of one training on all GPUs of the scenario.
        price: EUR for one GPU for one hour; None where the machine is one's own, which costs energy only.
        used: the facts behind `price`, so that their age is told.
    """
    bill = _Bill(scenario, prices, price, have or Have())
    per_iteration = bill.iteration(one_training)
    posts = (*bill.data(), *bill.work(), bill.compute(per_iteration))
    once = total([post.amount for post in posts], "EUR", "sum of the posts")
    data = total([post.amount for post in posts if post.group == "data"], "EUR", "sum of the data posts")
    serving = _serving(scenario, prices, price, traffic or Traffic())
    return Euros(
        posts=posts,
        once=once,
        per_iteration=per_iteration,
        data_share=_share(data, once),
        monthly=tuple(bill.monthly(per_iteration, serving)),
        serving=serving,
        warnings=(*prices.warnings(used), *bill.warnings()),
    )


def extra_per_month(held: Euros) -> Figure:
    """What a tuned model costs a month beyond the same base model untuned, which is served all the same."""
    return total([post.amount for post in held.monthly if post.group == "operations"], "EUR/month", "operations")


@dataclass(frozen=True)
class _Bill:
    scenario: Scenario
    prices: Prices
    price: Figure | None
    have: Have

    def warnings(self) -> Iterator[str]:
        if self.have.doubtful is None and self.have.rows:
            yield "how many rows need a second look was not measured (run: tuneworthy data check): no work is put in"
        if self.price is None and self._power() is None:
            yield f"what {self.scenario.gpu} draws is not known: no energy is put in"

    @property
    def _large(self) -> bool:
        return (self.scenario.examples.value or 0) >= LARGE

    def _assumed(self, name: str, *, large: bool) -> Figure:
        return self.prices.assumed(f"{name}_large" if large else name)

    def _worked(self, *factors: Figure, source: str, unit: str = "EUR") -> Figure:
        """Work in EUR: its factors × the rate of an hour."""
        return product([*factors, self.prices.assumed("rate")], unit, source)

    def data(self) -> Iterator[Post]:
        """Rows that are still missing, rows to be looked at again, cases that are still missing."""
        wanted, have = self.scenario.examples, self.have
        if wanted.value is None:
            yield Post(name="rows still missing", group="data", amount=unknown("EUR", wanted.source))
            return
        missing = max(0.0, wanted.value - have.rows)
        setup = self._assumed("data_setup", large=self._large)
        part = estimate(missing / wanted.value if wanted.value else 0.0, "share", "share of the rows still missing")
        yield Post(
            name="sources, guideline, import",
            group="data",
            amount=self._worked(setup, part, source="hours × share of the rows still missing × rate"),
        )
        yield self._each("rows still missing", missing, "minutes_per_example")
        if have.doubtful:
            yield self._each("rows that the checks doubt", have.doubtful, "minutes_per_doubtful_row")
        yield self._each("cases of the suite still missing", max(0, have.cases_wanted - have.cases), "minutes_per_case")

    def _each(self, name: str, rows: float, minutes: str) -> Post:
        count = estimate(rows / 60, "h/min", f"{rows:,.0f} rows")
        each = self.prices.assumed(minutes)
        worked = self._worked(count, each, source=f"{rows:,.0f} rows × minutes each × rate")
        return Post(name=f"{name}: {rows:,.0f}", group="data", amount=worked)

    def work(self) -> Iterator[Post]:
        """Evaluation, deployment, and a person's share in every iteration."""
        wide = self.scenario.gpus > 1
        times = estimate(self.scenario.iterations, "×", "iterations")
        source = "hours × rate"
        yield Post(
            name="suite, reading answers, report",
            group="evaluation",
            amount=self._worked(self._assumed("evaluation", large=self._large), source=source),
        )
        yield Post(
            name=f"looking after {self.scenario.iterations} iterations",
            group="evaluation",
            amount=self._worked(self._assumed("per_iteration", large=wide), times, source=f"iterations × {source}"),
        )
        yield Post(
            name="gateway, monitoring, a tried rollback",
            group="deployment",
            amount=self._worked(self._assumed("deployment", large=wide), source=source),
        )

    def iteration(self, one_training: Figure) -> Figure:
        """EUR of compute for one iteration: ((trainings + evaluation) × (1 + idle) + start-up) × GPUs × price."""
        assumed = self.prices.assumed
        trainings = product(
            [one_training, assumed("trainings_per_iteration")], "h", "hours of one training × trainings"
        )
        computing = total([trainings, assumed("evaluation_gpu")], "h", "trainings and evaluation")
        if self.price is None:
            return self._energy(computing)
        one = Figure(value=1.0, unit="share", basis="estimated", source="the hours that it computes")
        rented = product([computing, total([one, assumed("idle")], "share", "1 + idle")], "h", "computing and idle")
        hours = total([rented, assumed("start_up")], "h", "with start-up")
        gpus = estimate(max(1, self.scenario.gpus), "GPUs", "scenario")
        source = "((hours of one training × trainings + evaluation) × (1 + idle) + start-up) × GPUs × price"
        return product([hours, gpus, self.price], "EUR", source)

    def _energy(self, hours: Figure) -> Figure:
        power = self._power()
        if power is None:
            return estimate(0.0, "EUR", "one's own machine; what it draws is not known")
        kwh = self.prices.energy[0]
        per_hour = estimate(power * max(1, self.scenario.gpus) / 1000 * kwh.eur_per_kwh, "EUR/h", "watts × EUR per kWh")
        source = f"hours × watts × cooling × {kwh.eur_per_kwh:g} EUR/kWh ({kwh.source}, {kwh.date})"
        return product([hours, per_hour, self.prices.assumed("power_usage")], "EUR", source)

    def _power(self) -> float | None:
        return next((power.watts for power in self.prices.power if power.id == self.scenario.gpu), None)

    def compute(self, per_iteration: Figure) -> Post:
        """Compute of all iterations."""
        n = self.scenario.iterations
        what = "energy" if self.price is None else "GPU"
        return Post(
            name=f"{what}, {n} iterations",
            group="compute",
            amount=per_iteration.times(n, "EUR", source=f"{n} × {per_iteration.source}"),
        )

    def monthly(self, per_iteration: Figure, serving: Serving) -> Iterator[Post]:
        """Each month: machines, people, and the share of the next refresh."""
        if self.price is not None:
            yield Post(name="machines, always on", group="serving", amount=serving.own)
        unit = "EUR/month"
        watching = self._worked(self.prices.assumed("operations"), source="hours × rate", unit=unit)
        yield Post(name="looking after it", group="operations", amount=watching)
        person = self._worked(self._assumed("per_iteration", large=self.scenario.gpus > 1), source="hours × rate")
        once = total([per_iteration, person], "EUR", "one iteration with its work")
        source = "one iteration ÷ months between refreshes"
        share = product([once, _inverse(self.prices.assumed("refresh_months"))], unit, source)
        yield Post(name="refresh", group="operations", amount=share)


def _inverse(figure: Figure) -> Figure:
    if not figure.value or not figure.low or not figure.high:
        return unknown("1/month", "the time between refreshes is not above zero")
    return estimate(1 / figure.value, "1/month", figure.source, low=1 / figure.high, high=1 / figure.low)


def _share(part: Figure, whole: Figure) -> Figure:
    if part.value is None or not whole.value:
        return unknown("share", whole.source if part.value is not None else part.source)
    return estimate(part.value / whole.value, "share", "data posts ÷ all posts")


# --- serving -------------------------------------------------------------------------------------


def _serving(scenario: Scenario, prices: Prices, price: Figure | None, traffic: Traffic) -> Serving:
    """Machines for the busiest hour against the same tokens by the token."""
    tokens = _tokens(traffic)
    mean = tokens.times(1 / (HOURS_PER_MONTH * 3600), "tokens/s", source="output tokens per month ÷ its seconds")
    one = _throughput(scenario, prices, traffic)
    peak = product([mean, prices.assumed("utilisation_peak")], "tokens/s", "mean × busiest hour")
    machines = _machines(peak, one, traffic.least_gpus)
    own = _always_on(machines, price)
    services = tuple(Post(name=api.id, group="serving", amount=_bought(api, prices, traffic)) for api in prices.apis)
    return Serving(
        tokens_per_month=tokens,
        machines=machines,
        utilisation=_utilisation(mean, machines, one),
        own=own,
        services=services,
        break_even=_break_even(own, tokens, services),
    )


def _tokens(traffic: Traffic) -> Figure:
    if traffic.answers_per_month is None:
        return unknown("tokens/month", "value.volume_per_month is not said in usecase.toml")
    if traffic.tokens_out is None:
        return unknown("tokens/month", "the length of an answer was not counted")
    return traffic.tokens_out.times(traffic.answers_per_month, "tokens/month", source="answers × tokens of an answer")


def _throughput(scenario: Scenario, prices: Prices, traffic: Traffic) -> Figure:
    """Output tokens per second of one GPU, for the size of this model: memory traffic, so in proportion to 1/N."""
    row = next((row for row in prices.throughput if row.id == scenario.gpu), None)
    if row is None or traffic.parameters is None:
        return unknown("tokens/s", f"no published speed of {scenario.gpu} is at hand: measure it with your engine")
    value = row.tokens_per_second * REFERENCE_PARAMETERS / traffic.parameters
    source = f"{row.source} ({row.date}), 32 answers at a time, 8B model × 8e9 ÷ parameters"
    return estimate(value, "tokens/s", source, low=0.5 * value, high=1.5 * value)


def _machines(peak: Figure, one: Figure, least: int) -> Figure:
    if peak.value is None or one.value is None:
        return unknown("GPUs", peak.source if peak.value is None else one.source)
    worst = (peak.high or peak.value) / (one.low or one.value)
    best = (peak.low or peak.value) / (one.high or one.value)
    needed, low, high = (max(least, math.ceil(load)) for load in (peak.value / one.value, best, worst))
    return estimate(needed, "GPUs", f"⌈busiest hour ÷ speed of one⌉, at least {least}", low=low, high=high)


def _always_on(machines: Figure, price: Figure | None) -> Figure:
    if price is None:
        return unknown("EUR/month", "the machine is one's own")
    return product([machines, price.times(HOURS_PER_MONTH, "EUR/month")], "EUR/month", "GPUs × price × 730 h")


def _utilisation(mean: Figure, machines: Figure, one: Figure) -> Figure:
    if not mean.value or not machines.value or not one.value:
        return unknown("share", mean.source if mean.value is None else machines.source or one.source)
    return estimate(mean.value / (machines.value * one.value), "share", "mean load ÷ what the GPUs could write")


def _bought(api: Api, prices: Prices, traffic: Traffic) -> Figure:
    """The same answers from a service."""
    if traffic.answers_per_month is None or traffic.tokens_in is None or traffic.tokens_out is None:
        return unknown("EUR/month", "needs value.volume_per_month and counted tokens")
    parts = [
        product([tokens, prices.eur(rate / 1e6, api.currency, unit="EUR/token", of=api)], "EUR", "tokens × price")
        for tokens, rate in ((traffic.tokens_in, api.price_in), (traffic.tokens_out, api.price_out))
    ]
    source = f"answers × tokens × price per token ({api.source}, {api.date})"
    return total(parts, "EUR", source).times(traffic.answers_per_month, "EUR/month", source=source)


def _break_even(own: Figure, tokens: Figure, services: Sequence[Post]) -> Figure:
    """own ÷ (cheapest bought ÷ tokens): from so many tokens a month the machine is cheaper."""
    bought = [post.amount.value for post in services if post.amount.value]
    if not own.value or not tokens.value or not bought:
        return unknown("tokens/month", own.source if own.value is None else tokens.source)
    return estimate(own.value * tokens.value / min(bought), "tokens/month", "machines ÷ price of a bought token")
