"""What a plan is made of. Every number is a Figure: it says where it comes from, and whether anybody measured it.

Plan ── scenario      what is planned: model, method, hardware, examples
     ├─ architecture  the model's dimensions, from its config.json
     ├─ method        which method this data is enough for
     ├─ memory        what one GPU must hold
     ├─ hours         how long each arm and the whole ladder takes
     ├─ hardware      what is here, what would be enough, which offers are cheapest
     ├─ euros, break_even, licence, privacy
     └─ refusals      of all sections: any of them means exit code 3
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tuneworthy.records import Interval, Record

Basis = Literal["measured", "estimated", "published", "stated by the user", "not measured"]
"""`measured`: on this machine, with this model or data. `estimated`: worked out here, with a formula and its source.
`published`: read at the source on the date given. `stated by the user`. `not measured`: there is no number."""

Method = Literal["inference", "lora", "qlora", "full"]


class Figure(Record):
    """One number with its unit, its range and its origin. `value` is None exactly when the basis is `not measured`."""

    value: float | None
    low: float | None = None
    """lower end of the range; None = a range was not given"""
    high: float | None = None
    unit: str
    """GiB, h, EUR, EUR/h, tokens, examples, FLOP, …"""
    basis: Basis
    source: str = ""
    """the formula, the measurement, or the address; for `not measured` why not, and what to do"""
    date: dt.date | None = None
    """when it was measured, read or stated"""

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if (self.value is None) != (self.basis == "not measured"):
            raise ValueError("a figure has a value, or the basis `not measured`, and not both")
        if self.value is None and (self.low is not None or self.high is not None):
            raise ValueError("what was not measured has no range")
        if (self.low is None) != (self.high is None):
            raise ValueError("a range has two ends")
        if not self.source:
            raise ValueError("a figure says where it comes from")
        if self.basis == "published" and self.date is None:
            raise ValueError("a published figure says when it was read")
        ends = [end for end in (self.low, self.value, self.high) if end is not None]
        if not all(map(math.isfinite, ends)):
            raise ValueError("a figure is a finite number")
        if ends != sorted(ends):
            raise ValueError(f"the range {self.low} to {self.high} does not hold the value {self.value}")
        return self

    def times(self, factor: float, unit: str, *, source: str = "") -> Figure:
        """The figure and its range multiplied by a number that is not negative, in another unit."""
        if self.value is None:
            return self.model_copy(update={"unit": unit})
        return self.model_copy(
            update={
                "value": self.value * factor,
                "low": None if self.low is None else self.low * factor,
                "high": None if self.high is None else self.high * factor,
                "unit": unit,
                "source": source or self.source,
            }
        )


def unknown(unit: str, why: str) -> Figure:
    """The figure of what nobody measured; `why` says why not, and what to do."""
    return Figure(value=None, unit=unit, basis="not measured", source=why)


def estimate(value: float, unit: str, source: str, *, low: float | None = None, high: float | None = None) -> Figure:
    """A figure that was worked out: `source` is the formula and where it comes from."""
    return Figure(value=value, low=low, high=high, unit=unit, basis="estimated", source=source)


def total(parts: list[Figure], unit: str, source: str) -> Figure:
    """The sum. It is measured only if every part was; a missing part makes it `not measured`; low and high ends add up
    (parts are taken to err together, the careful reading)."""
    missing = [part for part in parts if part.value is None]
    if missing:
        return unknown(unit, missing[0].source)
    values = [part.value or 0.0 for part in parts]
    lows = [value if part.low is None else part.low for part, value in zip(parts, values, strict=True)]
    highs = [value if part.high is None else part.high for part, value in zip(parts, values, strict=True)]
    ranged = any(part.low is not None for part in parts)
    bases = {part.basis for part in parts}
    return Figure(
        value=sum(values),
        low=sum(lows) if ranged else None,
        high=sum(highs) if ranged else None,
        unit=unit,
        basis=bases.pop() if len(bases) == 1 and bases <= {"measured", "stated by the user"} else "estimated",
        source=source,
    )


def product(factors: Sequence[Figure], unit: str, source: str) -> Figure:
    """The product. A missing factor makes it `not measured`; the ranges of factors that err independently are put
    together in logarithms, in quadrature."""
    missing = [factor for factor in factors if factor.value is None]
    if missing:
        return unknown(unit, missing[0].source)
    values = [factor.value or 0.0 for factor in factors]
    value = math.prod(values)
    if value == 0.0 or all(factor.low is None for factor in factors):
        return estimate(value, unit, source)
    down = [_ratio(v, f.low) for v, f in zip(values, factors, strict=True)]
    up = [_ratio(f.high, v) for v, f in zip(values, factors, strict=True)]
    return estimate(
        value, unit, source, low=value * math.exp(-math.hypot(*down)), high=value * math.exp(math.hypot(*up))
    )


def _ratio(larger: float | None, smaller: float | None) -> float:
    """ln(larger / smaller); no range is no uncertainty, and a range down to zero counts as a factor of a hundred."""
    if larger is None or smaller is None:
        return 0.0
    return math.log(larger / smaller) if smaller > 0 else math.log(100.0)


class Refusal(Record):
    """Why the plan must not go ahead as it is."""

    gate: Literal["memory", "method", "licence", "privacy", "budget"]
    what: str
    why: str = ""
    next: str = ""
    """what would make it possible"""


class Section(Record):
    """One part of a plan."""

    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    """facts older than 90 days, assumptions that matter, …: whole sentences"""


class Scenario(Record):
    """What is planned. Comes from usecase.toml, the data and the machine; `--what-if` changes single fields."""

    base: str
    """name or folder of the base model"""
    method: Method
    gpu: str
    """id in facts/gpus.toml, or `cpu`"""
    gpus: int = Field(ge=0)
    """0 on a CPU"""
    examples: Figure
    """rows to learn from"""
    epochs: float = Field(gt=0)
    tokens_per_example: Figure
    """prompt and answer, without padding"""
    iterations: int = Field(default=3, ge=1)
    """how often data, training and evaluation are gone through before something is good enough"""
    price: Figure | None = None
    """EUR per GPU-hour, the user's own; None = from the table"""
    region: str = "EU"
    privacy: str = "on_premises"
    changed: tuple[str, ...] = ()
    """fields that `--what-if` set"""

    @property
    def tokens(self) -> Figure:
        """Tokens that one training goes through."""
        if self.examples.value is None:
            return unknown("tokens", self.examples.source)
        return self.tokens_per_example.times(self.examples.value * self.epochs, "tokens")


class Architecture(Record):
    """The dimensions of a decoder-only transformer, as its config.json states them."""

    model_type: str
    layers: int = Field(gt=0)
    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    """width of the MLP, or of one expert"""
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_dim: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    context: int = Field(gt=0)
    """longest sequence in tokens"""
    tied: bool
    """the head is the embedding"""
    gated_mlp: bool
    """three matrices instead of two"""
    experts: int = Field(default=0, ge=0)
    """per expert layer; 0 = dense"""
    experts_per_token: int = Field(default=0, ge=0)
    linear: int = Field(gt=0)
    """weights in the matrices of the blocks: what QLoRA quantises"""
    lora_width: int = Field(gt=0)
    """sum of inputs and outputs of the matrices that LoRA is put on: rank × this is the size of an adapter"""
    parameters: int = Field(gt=0)
    """all weights, tied ones once"""
    active: int = Field(gt=0)
    """weights that one token passes through"""
    source: str
    """the config.json that was read"""


class Part(Record):
    """What some of the memory is for."""

    name: str
    gib: float


class Need(Record):
    """What one method needs on one GPU."""

    method: Method
    need: Figure
    """GiB"""
    parts: tuple[Part, ...]
    """not all at once, so their sum is more than the need"""
    batch: int
    """rows in one forward pass that fit; 0 = not even one"""
    length: int
    """tokens of a row"""
    how: str
    """precision, optimizer, recomputing"""
    fits: bool


class Memory(Section):
    """What one GPU (or the machine) must hold."""

    device: str
    capacity: Figure
    """GiB of one GPU, or of the machine"""
    gpus: int
    needs: tuple[Need, ...]
    """inference, lora, qlora, full"""
    run: Figure
    """GiB that `tuneworthy run` takes on one such device: one copy of the model answers while the other learns"""

    def of(self, method: Method) -> Need:
        """The need of one method."""
        return next(need for need in self.needs if need.method == method)


class ArmHours(Record):
    """How long one arm of the ladder takes."""

    lever: str
    hours: Figure
    trainings: float = 0.0
    """whole trainings that it amounts to: rates screened, finalist, further seeds"""
    answers: int = 0


class Hours(Section):
    """How long it takes, wall time, all GPUs together."""

    arms: tuple[ArmHours, ...] = ()
    one_training: Figure
    """one training run of the planned method with its scored checkpoints"""
    ladder: Figure
    """everything that `tuneworthy run` would do"""
    tokens_per_second: Figure = Figure(value=None, unit="tokens/s", basis="not measured", source="not worked out")
    """trained on, padding not counted"""


class OfferLine(Record):
    """GPUs that can be rented where the use case may run."""

    id: str
    provider: str
    gpu: str
    gpus: int
    """that hold the planned method"""
    region: str
    eu_provider: bool
    hourly: Figure
    """EUR/h, all of them"""
    own: bool = False
    """stated by the user"""
    sky: str = ""
    """the GPU's name for SkyPilot"""


class HardwareChoice(Section):
    """What is here, what is enough, what is on offer."""

    here: str
    """what this machine has, in a sentence"""
    enough: dict[str, int] = {}
    """GPU → how many of them hold the planned method"""
    offers: tuple[OfferLine, ...] = ()
    """the three cheapest that satisfy region and privacy"""
    sky_yaml: str = ""
    """a ready SkyPilot file for the cheapest offer that SkyPilot knows"""
    on_cpu: tuple[ArmHours, ...] = ()
    """arms that this machine's CPU can do, and how long they take"""


class MethodChoice(Section):
    """Which method this data is enough for."""

    planned: Method
    advised: Literal["none", "lora", "full"]
    """what the number of examples and the task speak for; none = too few to train on"""
    why: str
    examples: Figure
    lora_measured: bool = False


class Post(Record):
    """One line of a bill."""

    name: str
    group: Literal["data", "compute", "evaluation", "deployment", "serving", "operations"]
    amount: Figure
    """EUR, or EUR/month"""


class Serving(Record):
    """Answering in production, from a GPU of one's own or by the token."""

    tokens_per_month: Figure
    machines: Figure
    """GPUs that the busiest hour needs"""
    utilisation: Figure
    """share of what these GPUs could write that is asked for"""
    own: Figure
    """EUR/month for these GPUs, always on"""
    services: tuple[Post, ...] = ()
    """the same tokens bought from services"""
    break_even: Figure
    """tokens per month from which the GPU is cheaper than the cheapest of these services"""


class Euros(Section):
    """What it costs. Filled in by euros.py."""

    posts: tuple[Post, ...]
    """once, for a first version that works"""
    once: Figure
    """their sum"""
    per_iteration: Figure
    """EUR of compute for one iteration: settings tried, seeds, evaluation, and the time in between"""
    data_share: Figure
    """share of the work and money that goes into data"""
    monthly: tuple[Post, ...] = ()
    """what it costs while it runs"""
    serving: Serving | None = None


class Months(Record):
    """When something has paid for itself. None = never."""

    median: float | None
    low: float | None
    """earlier than this in one of ten draws"""
    high: float | None
    """later than this in one of ten draws"""


class Swing(Record):
    """What one input does to the result while all others stay in the middle."""

    name: str
    low: float
    high: float
    """the 10 % and 90 % points of the input"""
    at_low: float
    at_high: float
    """EUR after the horizon at these points"""
    unit: str


class Payback(Record):
    """When one lever pays, against what it is held against."""

    lever: str
    reference: str
    gain: Interval
    """measured difference in score"""
    n: int
    """cases behind it"""
    once: Figure
    monthly: Figure
    """more than the reference costs a month"""
    months: Months
    never: float = Field(ge=0.0, le=1.0)
    """probability that it never pays: a month brings less than it costs"""
    net: Figure
    """EUR after the horizon"""
    smallest_gain: Figure
    """gain in score from which it has paid when the horizon ends"""
    swings: tuple[Swing, ...]
    """the largest first"""


class BreakEven(Section):
    """When it pays. Filled in by break_even.py."""

    possible: bool
    why_not: str = ""
    """why the sum cannot be done, and what to measure"""
    value: Figure
    """EUR for a right answer over a wrong one"""
    volume: Figure
    """answers per month"""
    horizon: int = 12
    """months after which the net is told"""
    draws: int = 0
    seed: int = 0
    needed: Figure | None = None
    """gain in score from which what is planned has paid when the horizon ends; needs no measured gain"""
    paybacks: tuple[Payback, ...] = ()


LicenceAnswer = Literal["allowed", "allowed with duties", "not allowed", "unknown"]
"""`unknown`: ask a lawyer; the section says what."""

DutyKind = Literal[
    "acceptable_use",
    "licence_file",
    "notice",
    "display",
    "name_prefix",
    "mark_changes",
    "pass_on_limits",
    "attribution",
]
"""What a release has to do by itself: keep a policy, pass a licence file on, write a Notice file, show a line, begin
its name so, say what was changed, bind its receivers, name the sources of data."""


class Duty(Record):
    """One thing that a licence asks for. A release turns it into a file, a name or a line."""

    kind: DutyKind
    text: str
    """what to do, one sentence"""
    value: str = ""
    """the line to show, the prefix of the name, the address of the policy or licence"""
    by: str
    """id of the licence in facts/licences.toml"""


class Link(Record):
    """One model, teacher or set of rows in the lineage, judged."""

    name: str
    role: Literal["model", "base", "merged", "teacher", "data"]
    licence: str = ""
    """id in facts/licences.toml; empty = not known"""
    found_in: str = ""
    """the file that says so, or `known by its name`"""
    answer: LicenceAnswer
    reason: str = ""
    source: str = ""
    """where the terms can be read"""
    verified: bool = True
    """whether somebody read the text itself"""


class Licence(Section):
    """Whether it is allowed, through the whole lineage; the worst link decides. Information, not legal advice."""

    answer: LicenceAnswer
    links: tuple[Link, ...] = ()
    duties: tuple[Duty, ...] = ()
    questions: tuple[str, ...] = ()
    """what to ask a lawyer, or to look up"""
    contradictions: tuple[str, ...] = ()
    """files that say different things"""


class Contact(Record):
    """One address that would be spoken to, judged by the privacy posture."""

    key: str
    """the field of usecase.toml, or the offer"""
    host: str
    answer: Literal["kept", "refused", "unknown"]
    """kept = the posture is kept"""
    reason: str = ""
    source: str = ""


class LawPoint(Record):
    """Something that the law asks, as information."""

    id: str
    what: str
    source: str
    date: dt.date
    """when it was read"""
    verified: bool = True


class Privacy(Section):
    """Whether it agrees with the privacy posture, and what the law asks. Information, not legal advice."""

    posture: str
    contacts: tuple[Contact, ...] = ()
    personal: dict[str, int] = {}
    """kind of personal data → rows"""
    compute_share: Figure
    """tuning compute as a share of one third of the original's: above 1 one may become provider of a model"""
    arithmetic: str = ""
    law: tuple[LawPoint, ...] = ()


class Plan(Record):
    """Everything that is known before anything is spent. Written as `.tuneworthy/plan.json`."""

    schema_version: Literal[1] = 1
    use_case: str
    made: dt.date
    scenario: Scenario
    architecture: Architecture | None = None
    method: MethodChoice | None = None
    memory: Memory | None = None
    hours: Hours | None = None
    hardware: HardwareChoice | None = None
    euros: Euros | None = None
    break_even: BreakEven | None = None
    licence: Licence | None = None
    privacy: Privacy | None = None
    not_known: tuple[str, ...] = ()
    """what could not be worked out, and why"""

    @property
    def sections(self) -> list[Section]:
        """The sections that are there."""
        held: list[Any] = [getattr(self, name) for name in type(self).model_fields]
        return [section for section in held if isinstance(section, Section)]

    @property
    def refusals(self) -> list[Refusal]:
        """Why it must not go ahead; empty when nothing stands against it."""
        return [refusal for section in self.sections for refusal in section.refusals]
