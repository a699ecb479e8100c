"""The sections of a plan about money, licence and law: what each sum needs is gathered here."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tuneworthy import runs
from tuneworthy.data.checks import run as checks
from tuneworthy.data.engine import load as load_batch
from tuneworthy.errors import TuneworthyError
from tuneworthy.ground import Ground
from tuneworthy.plan import after_run, privacy
from tuneworthy.plan.break_even import break_even
from tuneworthy.plan.euros import Have, Traffic, euros, extra_per_month
from tuneworthy.plan.prices import Offer, Prices
from tuneworthy.plan.records import (
    Architecture,
    BreakEven,
    Euros,
    Figure,
    Licence,
    Method,
    Privacy,
    Refusal,
    Scenario,
    estimate,
    unknown,
)
from tuneworthy.records import Comparison
from tuneworthy.suite.lock import MIN_CASES

CASES_WANTED = 200
"""of a suite that finds a difference of ten points (evidence/statistics); fewer are planned with once it is locked"""
FLOP_PER_TOKEN: dict[Method, float] = {"inference": 2.0, "lora": 4.0, "qlora": 4.0, "full": 6.0}
"""× weights that a token passes; recomputing adds 2, which the high end holds (evidence/operations, 6.3)"""


@dataclass(frozen=True)
class Costs:
    """What is planned, and what was found out about it so far."""

    ground: Ground
    scenario: Scenario
    prices: Prices
    today: dt.date
    one_training: Figure
    """hours"""
    model: Architecture | None
    answer_tokens: Figure
    here: bool
    """the scenario's GPU is in this machine"""
    least_gpus: int
    """that hold the model to answer"""

    # --- money ---

    @cached_property
    def price(self) -> tuple[Figure | None, tuple[Offer, ...]]:
        """EUR for one GPU for one hour and the offer behind it; None on one's own machine."""
        s = self.scenario
        if s.price is not None:
            return s.price, ()
        if self.here or s.gpus == 0:
            return None, ()
        fitting = self.prices.offers_for(s.gpu, region=s.region, privacy=s.privacy)
        by_hour = [offer for offer in fitting if offer.per == "hour"]
        if by_hour:
            return self.prices.hourly(by_hour[0]), (by_hour[0],)
        why = f"no offer of {s.gpu} satisfies region {s.region} and the posture {s.privacy}"
        return unknown("EUR/h", f"{why}; state yours: --what-if price=… or prices.toml"), ()

    @cached_property
    def euros(self) -> Euros:
        """The bill."""
        price, offers = self.price
        locked = self.ground.lock is not None
        cases = len(self.ground.cases)
        have = Have(
            rows=len(self.ground.train),
            doubtful=self.counts.doubtful,
            cases=cases,
            cases_wanted=max(cases, MIN_CASES) if locked else CASES_WANTED,
        )
        bill = euros(
            self.scenario,
            self.one_training,
            self.prices,
            price=price,
            used=offers,
            have=have,
            traffic=self._traffic,
        )
        return bill.model_copy(update=self._against_budget(bill.once, bill.warnings))

    def _against_budget(self, once: Figure, warnings: tuple[str, ...]) -> dict[str, tuple[Refusal | str, ...]]:
        """Refused where even the low end is more than may be spent; told where the middle is."""
        most = self.ground.usecase.budget.eur
        if most is None or once.value is None or once.value <= most:
            return {}
        told = f"about {once.value:,.0f} EUR are needed, and budget.eur is {most:,.0f}"
        if (once.low if once.low is not None else once.value) <= most:
            return {"warnings": (*warnings, told)}
        way = "a smaller project, your own rates in prices.toml, or a larger budget.eur"
        return {"refusals": (Refusal(gate="budget", what=told, why="the low end is above it, too", next=way),)}

    @property
    def _traffic(self) -> Traffic:
        row, answer = self.scenario.tokens_per_example, self.answer_tokens
        asked = None
        if row.value is not None and answer.value is not None:
            asked = estimate(max(0.0, row.value - answer.value), "tokens", "a row without its answer")
        return Traffic(
            answers_per_month=self.ground.usecase.value.volume_per_month,
            tokens_in=asked,
            tokens_out=answer if answer.value is not None else None,
            parameters=self.model.active if self.model else None,
            least_gpus=self.least_gpus,
        )

    @cached_property
    def break_even(self) -> BreakEven:
        """The differences of the last run with the costs of this plan; before a run, the gain that would pay."""
        planned = (self.euros.once, extra_per_month(self.euros))
        found = after_run.alternatives(self.ground, self._measured, self.prices, trained=planned)
        usecase = self.ground.usecase
        return break_even(found, usecase.value, seed=usecase.seed, planned=planned)

    @property
    def _measured(self) -> Sequence[Comparison]:
        last = self.ground.project.latest_run()
        return runs.load(last / "verdict.json").comparisons if last is not None else ()

    # --- law ---

    @cached_property
    def counts(self) -> Counts:
        """What the data checks found that need no model."""
        try:
            report = checks.run(load_batch(self.ground.project), quick=True)
        except TuneworthyError:
            return Counts()
        return Counts(
            doubtful=len({row.name or row.where for f in report.findings if f.severity != "note" for row in f.rows}),
            personal={f.kind: len(f.rows) for f in report.findings if f.check == "personal_data"},
        )

    @property
    def licence(self) -> Licence | None:
        """None where the weights are somebody else's to run."""
        changed = self.ground.usecase.model.model_copy(update={"base": self.scenario.base})
        return after_run.licence_of(self.ground, choice=changed, today=self.today)

    @property
    def privacy(self) -> Privacy:
        """Posture and law."""
        usecase = self.ground.usecase.model_copy(
            update={
                "privacy": self.scenario.privacy,
                "model": self.ground.usecase.model.model_copy(update={"base": self.scenario.base}),
            }
        )
        return privacy.privacy(
            usecase,
            privacy.load(self.today),
            today=self.today,
            parameters=self.model.parameters if self.model else None,
            tuning_flop=self._flop,
            personal=self.counts.personal,
            offers=self.price[1],
        )

    @property
    def _flop(self) -> Figure:
        """FLOP of one training."""
        tokens, per_token = self.scenario.tokens, FLOP_PER_TOKEN[self.scenario.method]
        if self.model is None or tokens.value is None:
            return unknown("FLOP", "the model's dimensions are not known" if self.model is None else tokens.source)
        value = per_token * self.model.active * tokens.value
        source = f"{per_token:g} × {self.model.active:.3g} weights × {tokens.value:.3g} tokens"
        return estimate(value, "FLOP", source, low=value, high=value * (per_token + 2) / per_token)


@dataclass(frozen=True)
class Counts:
    """What the data checks found; None where they could not run."""

    doubtful: int | None = None
    """rows that a person should look at"""
    personal: dict[str, int] | None = None
    """kind → rows"""


def gpus_that_hold(model: Architecture | None, memory_gib: float | None) -> int:
    """GPUs that hold the weights in bf16 with a fifth of the memory left for the cache and the rest."""
    if model is None or not memory_gib:
        return 1
    return max(1, math.ceil(2 * model.parameters / 2**30 / (0.8 * memory_gib)))
