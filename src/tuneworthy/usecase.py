"""UseCase: one task, one input shape, one expected output, the bar, the budget, the privacy posture.

`usecase.toml` is what the user writes; `load` validates it before any work and lists every mistake at once, with
key, value, reason and the nearest known key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from tuneworthy.content import canonical_json
from tuneworthy.errors import Problem, UseCaseError
from tuneworthy.records import Record

Behaviour = Literal["style", "format", "vocabulary", "classification"]
Privacy = Literal["on_premises", "eu_cloud", "any"]
Gate = Literal["use_case", "data", "suite", "hardware", "discipline"]
GATES = get_args(Gate)


def _finite(value: JsonValue) -> JsonValue:
    """JSON knows neither NaN nor infinity, and what is saved with a run is JSON."""
    canonical_json(value)
    return value


def _sentence(reason: str) -> str:
    if len(reason.split()) < 4:
        raise ValueError("write a reason that a colleague would accept (a sentence)")
    return reason


Json = Annotated[JsonValue, AfterValidator(_finite)]


class InputField(Record):
    """One field of the input."""

    type: Literal["text", "integer", "number", "boolean"] = "text"
    """what the field holds"""
    required: bool = True
    """whether every row must have it"""
    max_chars: int = Field(default=20_000, ge=1)
    """longest text accepted; longer rows are listed, never cut"""


class Output(Record):
    """The one expected output."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=False)

    kind: Literal["label", "json", "text"]
    """the shape of an answer"""
    labels: tuple[str, ...] = ()
    """label: the allowed answers"""
    json_schema: dict[str, Json] | None = Field(default=None, alias="schema")
    """json: JSON Schema (draft 2020-12) of the answer, as a table, or a file name beside usecase.toml"""
    max_tokens: int = Field(default=128, ge=1)
    """longest answer that is generated"""
    max_chars: int | None = Field(default=None, ge=1)
    """text: longest acceptable answer"""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        bare = [label for label in labels if label != label.strip() or not label]
        wrong = [f"listed twice: {', '.join(twice)}"] if twice else []
        wrong += [f"empty, or with white space around it: {bare[0]!r}"] if bare else []
        if wrong:
            raise ValueError("; ".join(wrong))
        return labels

    @model_validator(mode="after")
    def _complete(self) -> Output:
        if self.kind == "label" and len(self.labels) < 2:
            raise ValueError('a label output needs at least two different labels: labels = ["a", "b"]')
        if self.kind == "json" and self.json_schema is None:
            raise ValueError('a json output needs a schema: schema = "schema.json" or an [output.schema] table')
        if self.kind != "label" and self.labels:
            raise ValueError(f'labels belong to kind = "label", not to kind = "{self.kind}"')
        return self


class Change(Record):
    """What should change compared with the base model."""

    behaviour: tuple[Behaviour, ...] = ()
    """what the answers should do differently; empty = not said"""
    knowledge: str = "none"
    """`none`, or the folder with the documents, relative to usecase.toml"""


class ModelChoice(Record):
    """The base model."""

    base: str = "pocket"
    """`pocket` (shipped), a folder, a hub name, or the model's name at the endpoint"""
    endpoint: str = ""
    """URL of an OpenAI-compatible server, e.g. http://localhost:8000/v1; empty = loaded here"""
    api_key_env: str = ""
    """name of the environment variable that holds the key; the key itself is never written"""
    revision: str = ""
    """commit hash of a hub model"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a GPU that has it, float32 on a CPU"""
    trust_remote_code: bool = False
    """run code that comes with the model; recorded"""
    allow_pickle: bool = False
    """read weights that are not safetensors, and can run code when opened; recorded"""


class IntendedUse(Record):
    """What the licence and the law will ask."""

    commercial: bool = True
    """whether money is made with it"""
    monthly_active_users: int = Field(default=0, ge=0)
    """some licences have a limit"""
    region: str = "EU"
    """where it is used"""
    personal_data: bool = False
    """whether inputs or answers name people"""
    reach: Literal["inside", "customers", "weights"] = "customers"
    """who gets it: your own staff, customers through a product or service, or anybody who gets the weights"""
    established: str = ""
    """where your company has its seat, which some licences ask for; empty = as region"""
    group_revenue_eur_per_month: FiniteFloat | None = Field(default=None, ge=0.0)
    """of your company and all it belongs to; a few licences have a limit; empty = not said"""
    teachers: tuple[str, ...] = ()
    """models or services that wrote some of the examples: a hub name, or openai, anthropic, …"""

    @property
    def seat(self) -> str:
        """Where the company is established."""
        return self.established or self.region


class Bar(Record):
    """When it is good enough, and which difference is worth paying for."""

    metric: str
    """name of the primary scorer"""
    at_least: float = Field(gt=0.0, le=1.0)
    """score from which it is good enough"""
    smallest_difference: float = Field(gt=0.0, lt=1.0)
    """smallest gain that matters, in score: 0.05 = five points"""
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    """accepted probability of seeing a difference where there is none; 0.05 = 95 % intervals"""
    power: float = Field(default=0.8, gt=0.5, lt=1.0)
    """wanted probability of seeing the smallest difference where it is there"""
    largest_loss: float | None = Field(default=None, gt=0.0, lt=1.0)
    """largest loss of other abilities that training may cause, in score; empty = it is told, not demanded"""


class Value(Record):
    """What being right is worth; without it the sum in euros cannot be done."""

    right_answer_eur: FiniteFloat | None = Field(default=None, ge=0.0)
    """value of one right answer over a wrong one"""
    volume_per_month: int | None = Field(default=None, ge=0)
    """answers asked for in a month"""


class Budget(Record):
    """What may be spent."""

    eur: FiniteFloat | None = Field(default=None, ge=0.0)
    """for everything together"""
    training_hours: FiniteFloat = Field(default=24.0, gt=0.0)
    """most hours that one trained lever may take here"""
    dev_calls: int = Field(default=400, ge=30)
    """answers asked per lever to choose among its variants on the development split, at least 20 for each; the chosen
    one is then measured on the whole split"""
    seeds: int = Field(default=3, ge=1, le=10)
    """runs of the trained finalist"""


class Hardware(Record):
    """What it runs on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU where there is one"""
    memory_gb: FiniteFloat | None = Field(default=None, gt=0.0)
    """most memory to use; empty = what the machine has"""


class ScorerSpec(Record):
    """A further scorer, beside the metric of the bar."""

    name: str
    """name of the scorer"""
    settings: dict[str, Json] = {}
    """its settings, e.g. {pattern = "^[A-Z]"}"""


class Anchor(Record):
    """One answer that a judge is shown with its verdict."""

    answer: str = Field(min_length=1)
    """the text of the answer"""
    right: bool
    """whether it is right by the rubric"""
    why: str = ""
    """the reason, in a few words"""


MOST_ANCHORS = 4
"""Few: each lengthens every question to the judge, and many make it a copy of its examples."""


class JudgeSpec(Record):
    """A model as a scorer, under the name `judge`; usable only after `tuneworthy suite judge`."""

    rubric: str = Field(min_length=10)
    """what makes an answer right (rubric) or better (pairwise), as you would tell a colleague"""
    mode: Literal["rubric", "pairwise"] = "rubric"
    """rubric: right or wrong; pairwise: at least as good as the expected output, asked in both orders"""
    model: ModelChoice
    """who judges; better not the base model of the arms, which likes its own answers"""
    anchors: tuple[Anchor, ...] = Field(default=(), max_length=MOST_ANCHORS)
    """rubric: a few answers with their verdicts, shown to the judge"""
    max_tokens: int = Field(default=64, ge=1)
    """longest reply of the judge"""
    least_kappa: float = Field(default=0.4, ge=0.0, lt=1.0)
    """agreement with people beyond chance that the bar asks for (Cohen's kappa)"""

    @model_validator(mode="after")
    def _fitting(self) -> JudgeSpec:
        if self.anchors and self.mode == "pairwise":
            raise ValueError('anchors are right or wrong by themselves, so they belong to mode = "rubric"')
        return self


NAME = r"^[a-z0-9][a-z0-9-]*$"
NAME_MOST = 80


class UseCase(Record):
    """The whole specification."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_MOST, pattern=NAME)]
    """lower-case letters, digits and dashes"""
    description: str = ""
    """who asks, and what they do with the answer; the gate use_case wants it"""
    instruction: Annotated[str, Field(min_length=10)]
    """what the model is asked to do, as you would tell a colleague"""
    wordings: tuple[Annotated[str, Field(min_length=10)], ...] = ()
    """the same instruction in other words, each tried as well; ten in all keep a poor one from being the reference"""
    privacy: Privacy = "on_premises"
    """how far data may travel; on_premises: not to another host"""
    input: dict[str, InputField]
    output: Output
    change: Change = Change()
    model: ModelChoice = ModelChoice()
    use: IntendedUse = IntendedUse()
    bar: Bar
    value: Value = Value()
    budget: Budget = Budget()
    hardware: Hardware = Hardware()
    scorers: tuple[ScorerSpec, ...] = ()
    judge: JudgeSpec | None = None
    """a model as a scorer; needed where the metric of the bar or a scorer is `judge`"""
    metric_settings: dict[str, Json] = {}
    """settings of the primary scorer, e.g. {pattern = "^[A-Z]"}"""
    override: dict[Gate, Annotated[str, AfterValidator(_sentence)]] = {}
    """gate → written reason for passing it all the same; printed in the report"""
    seed: int = Field(default=0, ge=0)
    """decides splits, draws and training"""

    @field_validator("input")
    @classmethod
    def _some_input(cls, fields: dict[str, InputField]) -> dict[str, InputField]:
        if not fields:
            raise ValueError("the input has no field: [input.text]")
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> UseCase:
        problem = _unfit(self.output.kind, self.bar.metric, [spec.name for spec in self.scorers])
        if problem is not None:
            raise ValueError(str(problem))
        if JUDGE in (self.bar.metric, *(spec.name for spec in self.scorers)) and self.judge is None:
            raise ValueError(str(_judge_missing()))
        return self

    @property
    def docs_folder(self) -> str | None:
        """Folder of the documents, or None where no knowledge is needed."""
        return None if self.change.knowledge == "none" else self.change.knowledge


JUDGE = "judge"

METRICS: dict[str, tuple[str, ...]] = {
    "label": ("classification", "exact"),
    "json": ("fields", "json_exact", "json_schema", "exact"),
    "text": ("exact", "contains", "squad_f1", "squad_em", "regex", "rouge_l", "chrf", "bleu", "similarity", "judge"),
}
"""Scorers that can carry the bar, by kind of output; the first is the default of `init`."""


def load(path: Path) -> UseCase:
    """Read and validate a usecase.toml.

    Raises:
        UseCaseError: the file is missing, is not TOML, or holds mistakes; all of them are listed.
    """
    where = str(path)
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UseCaseError(
            "there is no usecase.toml", [], next=f"run: tuneworthy init {path.parent.name or 'my-usecase'}", where=where
        ) from None
    except UnicodeDecodeError as error:
        raise UseCaseError(
            f"is not UTF-8: {error.reason} at byte {error.start}", [], next="save it as UTF-8", where=where
        ) from None
    except (ValueError, OSError, RecursionError) as error:  # ValueError: no TOML, or a number without end
        raise UseCaseError(f"cannot be read: {error}", [], next="repair the file", where=where) from None
    problems = _load_schema_file(table, path.parent)
    try:
        usecase = UseCase.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        problems = [*_vague(table), *problems, *(_explain(item) for item in found if item["loc"]), *_unfit_table(table)]
    if problems:
        raise UseCaseError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)}",
            problems,
            next="correct them; `tuneworthy init --explain` prints every key with its default",
            where=where,
        )
    _check_schema(usecase, where)
    return usecase


def _vague(table: Mapping[str, Any]) -> Iterator[Problem]:
    """Better answers without an output shape and a bar cannot be measured, so nothing could ever be proved."""
    if "output" not in table and "bar" not in table:
        yield Problem(
            "output, bar",
            "",
            "neither an output shape nor a bar is given: “better answers” cannot be measured, so no lever could "
            "ever be shown to help",
            "say what a right answer looks like ([output]) and when it is good enough ([bar])",
        )


def _unfit(kind: str, metric: str, further: Sequence[str]) -> Problem | None:
    """A metric that cannot judge this kind of output, unless it is one of the `further` scorers."""
    known = METRICS[kind]
    if metric in known or metric in further:
        return None
    return Problem(
        "bar.metric", repr(metric), f"cannot judge a {kind} output", _nearest(metric, known) or _known(known)
    )


def _judge_missing() -> Problem:
    return Problem(
        "judge", "", "missing, and the scorer `judge` is wanted", "add a table [judge] with rubric and model"
    )


def _unfit_table(table: Mapping[str, Any]) -> Iterator[Problem]:
    """The same for a file with other mistakes, so that this one is not found a run later."""
    output, bar, scorers = table.get("output"), table.get("bar"), table.get("scorers", [])
    if not isinstance(output, dict) or not isinstance(bar, dict) or not isinstance(scorers, list):
        return
    kind, metric = output.get("kind"), bar.get("metric")
    names = [spec.get("name") for spec in scorers if isinstance(spec, dict)]
    if JUDGE in (metric, *names) and "judge" not in table:
        yield _judge_missing()
    if isinstance(kind, str) and isinstance(metric, str) and kind in METRICS:
        problem = _unfit(kind, metric, [str(name) for name in names])
        if problem is not None:
            yield problem


def _load_schema_file(table: dict[str, Any], folder: Path) -> list[Problem]:
    """Put the content of the file that output.schema names in the place of its name."""
    import json

    output = table.get("output")
    if not isinstance(output, dict) or not isinstance(output.get("schema"), str):
        return []
    path = folder / output["schema"]
    try:
        output["schema"] = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        output["schema"] = {}  # so that it does not count as missing, too
        return [Problem("output.schema", str(path), f"cannot be read as JSON: {error}")]
    return []


def _check_schema(usecase: UseCase, where: str) -> None:
    if usecase.output.json_schema is None:
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    key, reason = "output.schema", ""
    try:
        Draft202012Validator.check_schema(usecase.output.json_schema)
        reason = _unsatisfiable(usecase.output.json_schema)
    except SchemaError as error:
        key, reason = ".".join([key, *map(str, error.absolute_path)]), error.message
    except RecursionError:
        reason = "is nested too deeply"
    if reason:
        raise UseCaseError("1 mistake", [Problem(key, "", reason)], next="repair the schema", where=where)


def _unsatisfiable(schema: Mapping[str, JsonValue]) -> str:
    """Why no answer can keep the schema; empty when one can, or when that cannot be told."""
    import json

    from llguidance import LLMatcher

    told = str(LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema))))
    start = "Unsatisfiable schema: "
    return f"no answer can keep it: {told.removeprefix(start)}" if told.startswith(start) else ""


def _explain(item: Mapping[str, Any]) -> Problem:
    location = ["schema" if part == "json_schema" else str(part) for part in item["loc"] if part != "[key]"]
    key = ".".join(location)
    reason = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return Problem(key, "", "unknown key", _nearest(location[-1], known) or _known(known))
    if item["type"] == "missing":
        return Problem(key, "", "is missing")
    value = "" if isinstance(item["input"], dict | list) else repr(item["input"])
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        return Problem(key, value, reason, _nearest(item["input"], reason.split("'")[1::2]))
    return Problem(key, value, reason)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else ""


def _known(names: Sequence[str]) -> str:
    return f"known: {', '.join(names)}"


def _known_keys(location: Iterable[str]) -> list[str]:
    """Keys that are allowed at a place, found by walking the model."""
    model: type[BaseModel] = UseCase
    for part in location:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None:
            continue  # a name chosen by the user, as in input.<field>
        candidates = [field.annotation, *get_args(field.annotation)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return [field.alias or name for name, field in model.model_fields.items()]
