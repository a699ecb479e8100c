"""The plan, section by section: what is planned → does it fit → how long → where → what it costs → may we.

A section that cannot be worked out is left out, and `not_known` says why; no number is ever put in its place.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar, get_args

from pydantic import ValidationError

from tuneworthy.content import write_whole
from tuneworthy.errors import TuneworthyError
from tuneworthy.ground import Ground
from tuneworthy.models.local.files import resolve
from tuneworthy.plan import calibrate, hardware, hours, memory, method, prices
from tuneworthy.plan.costs import Costs, gpus_that_hold
from tuneworthy.plan.hardware import CPU, Device, Found
from tuneworthy.plan.hours import Amount
from tuneworthy.plan.models import architecture_of
from tuneworthy.plan.records import (
    Architecture,
    Figure,
    HardwareChoice,
    Hours,
    Method,
    Plan,
    Scenario,
    estimate,
    unknown,
)
from tuneworthy.records import Example
from tuneworthy.rendering import input_block, render_expected
from tuneworthy.training.recipe import Suggestion, recipe_for
from tuneworthy.usecase import UseCase

TEMPLATE_TOKENS = 20
"""that a chat template and the output contract add to a row, about"""
CHARACTERS_PER_TOKEN = (2.5, 4.0, 5.0)
"""where the model's tokenizer is not at hand: other languages, English prose, long words"""
PLAIN_ROW = (300.0, 700.0, 1400.0)
"""tokens of a row where there are no rows to count, a usual range"""
UNKNOWN_CASES = 100
"""locked cases that are reckoned with while there is no suite"""
DEV_SHARE = 0.2
WHAT_IF = ("base", "method", "gpu", "gpus", "price", "examples", "tokens", "epochs", "iterations", "region", "privacy")
"""that `--what-if` can change"""
MOST_EPOCHS = 1_000

T = TypeVar("T")


def make(
    ground: Ground, *, today: dt.date, what_if: Mapping[str, str] | None = None, lora_measured: bool = False
) -> Plan:
    """Everything that can be known before anything is spent. Nothing is written.

    Args:
        what_if: field of the scenario → value, as typed.
        lora_measured: whether the last run measured LoRA.

    Raises:
        TuneworthyError: a `what_if` that is not known or not valid; a GPU that is not in the table.
        DataError: a table of facts, or the user's prices.toml, is wrong.
    """
    return _Planning(ground, today, dict(what_if or {}), lora_measured).plan()


def save(plan: Plan, path: Path) -> None:
    """Write plan.json whole."""
    write_whole(path, json.dumps(plan.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n")


def kept(path: Path) -> Plan | None:
    """The last plan that was kept; None where none was made.

    Raises:
        TuneworthyError: the file is not a plan, or of another version of this package.
    """
    if not path.exists():
        return None
    try:
        return Plan.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise TuneworthyError(
            "the plan cannot be read", why=str(error).splitlines()[0], next="run: tuneworthy plan", where=str(path)
        ) from None


def parse_what_if(pairs: Sequence[str]) -> dict[str, str]:
    """`gpu=l4`, or several in one: `gpu=l4 price=0.8` → fields and values.

    Raises:
        TuneworthyError: not field=value, or a field that is not known.
    """
    found = {}
    for pair in " ".join(pairs).replace(",", " ").split():
        name, separator, value = pair.partition("=")
        if not separator or not value:
            raise TuneworthyError(f"--what-if {pair!r} is not field=value", next="write for instance gpu=l4")
        if name not in WHAT_IF:
            near = get_close_matches(name, WHAT_IF, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TuneworthyError(f"--what-if {name!r} is not known", next=f"{hint}known: {', '.join(WHAT_IF)}")
        found[name] = value
    return found


@dataclass
class _Planning:
    """One plan being made; each part is worked out when it is first needed."""

    ground: Ground
    today: dt.date
    what_if: dict[str, str]
    lora_measured: bool

    def __post_init__(self) -> None:
        self.not_known: list[str] = []

    def plan(self) -> Plan:
        """All sections."""
        return Plan(
            use_case=self.usecase.name,
            made=self.today,
            scenario=self.scenario,
            architecture=self.model,
            method=method.choose(
                self.usecase, self.scenario.method, self.scenario.examples, lora_measured=self.lora_measured
            ),
            memory=self.memory,
            hours=self.hours,
            hardware=self.hardware,
            euros=self.costs.euros,
            break_even=self.costs.break_even,
            licence=self.costs.licence,
            privacy=self.costs.privacy,
            not_known=tuple(self.not_known),
        )

    # --- what is given ---

    @property
    def usecase(self) -> UseCase:
        return self.ground.usecase

    @cached_property
    def folder(self) -> Path:
        return self.ground.project.folder

    @cached_property
    def found(self) -> Found:
        return hardware.detect(self.folder)

    @cached_property
    def base(self) -> str:
        return self.what_if.get("base", self.usecase.model.base)

    @cached_property
    def choice(self) -> Any:
        return self.usecase.model.model_copy(update={"base": self.base})

    @cached_property
    def model(self) -> Architecture | None:
        return self._try(lambda: architecture_of(self.choice, self.folder, self.today), "the model")

    @cached_property
    def prices(self) -> prices.Prices:
        return prices.load(self.folder, today=self.today)

    @cached_property
    def method(self) -> Method:
        planned = self.what_if.get("method", "lora")
        if planned not in get_args(Method):
            raise TuneworthyError(
                f"--what-if method={planned} is not known", next=f"known: {', '.join(get_args(Method))}"
            )
        return planned  # type: ignore[return-value]

    @cached_property
    def gpu(self) -> str:
        if "gpu" in self.what_if:
            return self.what_if["gpu"].casefold()
        return CPU if self.usecase.hardware.device == "cpu" else hardware.own_gpu(self.found, self.today)

    @cached_property
    def rows(self) -> Sequence[Example]:
        return self.ground.train

    @cached_property
    def suggestion(self) -> Suggestion | None:
        count, answer = self.examples.value, self.answer_tokens.value
        if not count or answer is None:
            return None
        kind: Literal["lora", "full"] = "full" if self.method == "full" else "lora"
        parameters = self.model.parameters if self.model else 0
        return recipe_for(max(1, int(count)), int(count * answer) or 1, parameters, method=kind, seed=self.usecase.seed)

    @cached_property
    def scenario(self) -> Scenario:
        suggested = self.suggestion
        epochs = suggested.recipe.epochs if suggested else 3.0
        count = self._whole("gpus", 1)
        price = self._number("price", None)
        return Scenario(
            base=self.base,
            method=self.method,
            gpu=self.gpu,
            gpus=0 if self.gpu == CPU else count,
            examples=self.examples,
            epochs=self._number("epochs", epochs) or epochs,
            tokens_per_example=self.row_tokens,
            iterations=self._whole("iterations", 3),
            price=None if price is None else _stated(price, "EUR/h", "--what-if price"),
            region=self.what_if.get("region", self.usecase.use.region),
            privacy=self._privacy,
            changed=tuple(self.what_if),
        )

    @property
    def _privacy(self) -> str:
        value = self.what_if.get("privacy", self.usecase.privacy)
        known = ("on_premises", "eu_cloud", "any")
        if value not in known:
            raise TuneworthyError(f"--what-if privacy={value} is not known", next=f"known: {', '.join(known)}")
        return value

    # --- what is counted ---

    @cached_property
    def examples(self) -> Figure:
        stated = self._whole("examples", 0)
        if stated:
            return _stated(stated, "examples", "--what-if examples")
        if self.ground.data_problem is not None:
            return unknown("examples", f"the examples cannot be read: {self.ground.data_problem.what}")
        source = "counted: usable rows to learn from, without duplicates, leaks and the development split"
        return Figure(value=len(self.rows), unit="examples", basis="measured", source=source, date=self.today)

    @cached_property
    def row_tokens(self) -> Figure:
        stated = self._number("tokens", None)
        if stated is not None:
            return _stated(stated, "tokens", "--what-if tokens")
        return self._tokens([_row_text(self.usecase, row) for row in self.rows], TEMPLATE_TOKENS)

    @cached_property
    def answer_tokens(self) -> Figure:
        texts = [render_expected(self.usecase.output, row.expected) for row in self.rows]
        if not texts:
            most = float(self.usecase.output.max_tokens)
            return estimate(most / 2, "tokens", "half of output.max_tokens: no rows to count", low=1.0, high=most)
        return self._tokens(texts, 1)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row, as far as it is known."""
        figure = self.row_tokens
        return max(16, round(figure.high if figure.high is not None else figure.value or 1024))

    def _tokens(self, texts: Sequence[str], beside: int) -> Figure:
        """Mean tokens of a text with its range (shortest and longest), counted with the model's own tokenizer."""
        if not texts:
            low, middle, high = PLAIN_ROW
            return estimate(middle, "tokens", "a usual row: there are none to count", low=low, high=high)
        count = self._counter
        if count is None:
            least, usual, most = CHARACTERS_PER_TOKEN
            sizes = [len(text) for text in texts]
            source = f"{usual:g} characters a token: the model's tokenizer is not at hand"
            return estimate(
                fmean(sizes) / usual + beside,
                "tokens",
                source,
                low=fmean(sizes) / most,
                high=fmean(sizes) / least + beside,
            )
        sizes = [count(text) + beside for text in texts]
        source = f"counted in {len(texts):,} rows with the model's own tokenizer; range: shortest to longest"
        return Figure(
            value=fmean(sizes),
            low=min(sizes),
            high=max(sizes),
            unit="tokens",
            basis="measured",
            source=source,
            date=self.today,
        )

    @cached_property
    def _counter(self) -> Callable[[str], int] | None:
        from tokenizers import Tokenizer

        try:
            path = resolve(self.choice, self.folder) / "tokenizer.json"
            tokenizer = Tokenizer.from_file(str(path))
        except (
            Exception
        ):  # tokenizers raises plain Exception; without a tokenizer characters are counted, and it says so
            return None
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)

    # --- sections ---

    @cached_property
    def device(self) -> Device:
        limit = self.usecase.hardware.memory_gb if "gpu" not in self.what_if else None
        return hardware.device(self.gpu, max(1, self.scenario.gpus), self.found, memory_gb=limit, today=self.today)

    @cached_property
    def memory(self) -> Any:
        if self.model is None:
            return None
        return memory.section(
            self.model,
            self.device,
            self.method,
            self.longest,
            answer_share=self._answer_share,
            here=self.device.id == hardware.own_gpu(self.found, self.today),
        )

    @property
    def _answer_share(self) -> float:
        answer, row = self.answer_tokens.value, self.row_tokens.value
        return 0.25 if not answer or not row else min(1.0, answer / row)

    @cached_property
    def amount(self) -> Amount | None:
        suggested, rows = self.suggestion, self.examples.value
        if suggested is None or not rows:
            self.not_known.append("hours: there are no examples to learn from; --what-if examples=… plans with as many")
            return None
        stated = "examples" in self.what_if or not self.ground.dev
        return Amount(
            rows=int(rows),
            dev=max(30, round(rows * DEV_SHARE)) if stated else len(self.ground.dev),
            cases=len(self.ground.cases) or UNKNOWN_CASES,
            row_tokens=self.row_tokens,
            answer_tokens=self.answer_tokens,
            recipe=suggested.recipe.model_copy(update={"epochs": self.scenario.epochs}),
            rates=len(suggested.learning_rates),
            seeds=self.usecase.budget.seeds,
            dev_calls=self.usecase.budget.dev_calls,
            documents=self.ground.project.docs is not None,
        )

    @cached_property
    def hours(self) -> Hours | None:
        return self._hours_on(self.device)

    def _hours_on(self, device: Device) -> Hours | None:
        amount = self.amount
        if amount is None:
            return None
        full = (self.examples.value or 0) >= method.FULL_EXAMPLES
        measured = self.calibration if self._is_here(device) else None
        if measured is not None:
            paces = hours.from_calibration(measured, self.model, amount)
            return self._within_budget(hours.hours(amount, paces, self.method, full=full))
        if self.model is None:
            self.not_known.append(
                "hours: the model's dimensions are not known; tuneworthy plan --calibrate measures them"
            )
            return None
        needs = memory.section(self.model, device, "lora", self.longest, answer_share=self._answer_share).needs
        recomputed = {need.method for need in needs if "recomputed" in need.how}
        paces = {
            how: hours.from_flop(self.model, device, how, amount, recompute=how in recomputed)
            for how in get_args(Method)
        }
        return self._within_budget(hours.hours(amount, paces, self.method, full=full))

    def _within_budget(self, found: Hours) -> Hours:
        """`tuneworthy run` leaves out a trained lever that takes longer than the budget says: that is told here."""
        limit = self.usecase.budget.training_hours
        over = [arm.lever for arm in found.arms if arm.trainings and (arm.hours.value or 0.0) > limit]
        if not over:
            return found
        told = f"{', '.join(over)}: longer than budget.training_hours = {limit:g}; `tuneworthy run` would not finish it"
        return found.model_copy(update={"warnings": (*found.warnings, told)})

    def _is_here(self, device: Device) -> bool:
        return device.id == hardware.own_gpu(self.found, self.today) and "base" not in self.what_if

    @cached_property
    def calibration(self) -> calibrate.MeasuredSpeed | None:
        """What was measured on this machine with this model; None, with the reason told, where nothing was."""
        path = self.ground.project.calibration
        if not path.exists():
            return None
        found = self._try(lambda: calibrate.load_for(path, self.choice, self.folder), "the calibration")
        if found is None:
            return None
        held, why = found
        if why:
            self.not_known.append(f"measured speed: {why}")
        return held

    @cached_property
    def hardware(self) -> HardwareChoice:
        table = hardware.gpus(self.today)
        enough = {} if self.model is None else self._enough(table)
        offers, used = hardware.cheapest(self.prices, table, self.scenario, enough)
        wanted = [offer for offer in offers if offer.sky and offer.gpu == self.scenario.gpu]
        known = next(iter(wanted or [offer for offer in offers if offer.sky]), None)
        disk = 3 * 2 * self.model.parameters / hardware.GIB if self.model else 50.0
        return HardwareChoice(
            here=_told(self.found),
            enough=enough,
            offers=tuple(offers),
            sky_yaml=hardware.sky_yaml(self.scenario, known, self.usecase.name, disk) if known else "",
            on_cpu=tuple(self._on_cpu()),
            warnings=(*self.prices.warnings(used), *self._hardware_warnings(offers)),
        )

    @cached_property
    def costs(self) -> Costs:
        held = None if self.gpu == CPU else self.device.memory.value
        return Costs(
            ground=self.ground,
            scenario=self.scenario,
            prices=self.prices,
            today=self.today,
            one_training=self.hours.one_training if self.hours else unknown("h", "the hours are not known"),
            model=self.model,
            answer_tokens=self.answer_tokens,
            here=self._is_here(self.device),
            least_gpus=gpus_that_hold(self.model, held),
        )

    def _hardware_warnings(self, offers: Sequence[Any]) -> list[str]:
        if offers:
            return []
        if self.scenario.privacy == "on_premises":
            return ["on_premises: nothing may be rented, so no offer is listed"]
        return [f"no offer in the price table satisfies region {self.scenario.region} and {self.scenario.privacy}"]

    def _enough(self, table: dict[str, Any]) -> dict[str, int]:
        """For every GPU, how many of them hold the planned method: 1, 2, 4 or 8."""
        found: dict[str, int] = {}
        assert self.model is not None
        for gpu in table:
            for count in (1, 2, 4, 8):
                device = hardware.device(gpu, count, self.found, memory_gb=None, today=self.today)
                section = memory.section(self.model, device, self.method, self.longest, answer_share=self._answer_share)
                if section.of(self.method).fits:
                    found[gpu] = count
                    break
        return found

    def _on_cpu(self) -> list[Any]:
        """Where this machine has no GPU: the arms that run here all the same, and their hours."""
        if self.found.gpus:
            return []
        device = self.device if self.gpu == CPU else hardware.device(
            CPU, 1, self.found, memory_gb=self.usecase.hardware.memory_gb, today=self.today
        )  # fmt: skip
        if self.model is not None:
            section = memory.section(self.model, device, "lora", self.longest, answer_share=self._answer_share)
            fitting = {need.method for need in section.needs if need.fits}
            if (section.run.value or 0.0) > (device.memory.value or 0.0):
                fitting &= {"inference"}  # a second copy of the model answers while the other learns
        else:
            fitting = {"inference", "lora", "full"}
        found = self.hours if self.gpu == CPU else self._hours_on(device)
        arms = found.arms if found else ()
        return [arm for arm in arms if ("lora" if arm.trainings else "inference") in fitting]

    # --- small things ---

    def _try(self, work: Callable[[], T], what: str) -> T | None:
        """The result, or None with the error told: one part that cannot be read does not take the others with it."""
        try:
            return work()
        except TuneworthyError as error:
            self.not_known.append(f"{what}: {' '.join(str(error).split())}")
            return None

    def _number(self, name: str, default: float | None) -> float | None:
        if name not in self.what_if:
            return default
        text = self.what_if[name]
        if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text) or float(text) <= 0:
            raise TuneworthyError(f"--what-if {name}={text} is not a number above zero", next="write for instance 2000")
        if name == "epochs" and float(text) > MOST_EPOCHS:
            raise TuneworthyError(
                f"--what-if epochs={text} is more than {MOST_EPOCHS:,}",
                why="every checkpoint is counted, and no training looks at its rows that often",
                next="write for instance 10",
            )
        return float(text)

    def _whole(self, name: str, default: int) -> int:
        value = self._number(name, float(default))
        if value is None or value != int(value):
            raise TuneworthyError(f"--what-if {name}={self.what_if[name]} is not a whole number", next="write 2000")
        return int(value)


def _row_text(usecase: UseCase, row: Example) -> str:
    """What a row is made of: instruction, what a right answer looks like, input, expected output."""
    properties = (usecase.output.json_schema or {}).get("properties")
    contract = ", ".join(usecase.output.labels or (properties if isinstance(properties, dict) else ()))
    asked = [usecase.instruction, contract, input_block(usecase.input, row.input)]
    return "\n".join([*asked, render_expected(usecase.output, row.expected)])


def _stated(value: float, unit: str, source: str) -> Figure:
    return Figure(value=value, unit=unit, basis="stated by the user", source=source)


def _told(found: Found) -> str:
    listed = ", ".join(f"{name} with {gib:,.0f} GiB" for name, gib in found.gpus) or "no GPU"
    beside = f"{found.cores} CPU cores, {found.memory_gib:,.0f} GiB of memory, {found.disk_gib:,.0f} GiB of disk free"
    return f"{listed}; {beside}"
