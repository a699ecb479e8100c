"""UseCase: one task, one input shape, one expected output, the bar, the budget, the privacy posture.

`usecase.toml` is what the user writes; `load` validates it before any work and lists every mistake at once, with
key, value, reason and the nearest known key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from tuneworthy.errors import Problem, UseCaseError
from tuneworthy.records import Record

Behaviour = Literal["style", "format", "vocabulary", "classification"]
Privacy = Literal["on_premises", "eu_cloud", "any"]
GATES = ("use_case", "data", "suite", "hardware", "discipline")


class InputField(Record):
    """One field of the input."""

    type: Literal["text", "integer", "number", "boolean"] = "text"
    required: bool = True
    max_chars: int = Field(default=20_000, ge=1)
    """longest text accepted; longer rows are listed, never cut"""


class Output(Record):
    """The one expected output."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=False)

    kind: Literal["label", "json", "text"]
    labels: tuple[str, ...] = ()
    """label: the allowed answers"""
    json_schema: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    """json: JSON Schema (draft 2020-12) of the answer, as a table, or a file name beside usecase.toml"""
    max_tokens: int = Field(default=128, ge=1)
    """longest answer that is generated"""
    max_chars: int | None = Field(default=None, ge=1)
    """text: longest acceptable answer"""

    @model_validator(mode="after")
    def _complete(self) -> Output:
        if self.kind == "label" and len(set(self.labels)) < 2:
            raise ValueError('a label output needs at least two different labels: labels = ["a", "b"]')
        if self.kind == "label" and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels are listed twice")
        if self.kind == "label" and any(label != label.strip() or not label for label in self.labels):
            raise ValueError("labels must not be empty or start or end with white space")
        if self.kind == "json" and self.json_schema is None:
            raise ValueError('a json output needs a schema: schema = "schema.json" or an [output.schema] table')
        if self.kind != "label" and self.labels:
            raise ValueError(f'labels belong to kind = "label", not to kind = "{self.kind}"')
        return self


class Change(Record):
    """What should change compared with the base model."""

    behaviour: tuple[Behaviour, ...] = ()
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
    allow_pickle: bool = False


class IntendedUse(Record):
    """What the licence and the law will ask."""

    commercial: bool = True
    monthly_active_users: int = Field(default=0, ge=0)
    region: str = "EU"
    personal_data: bool = False


class Bar(Record):
    """When it is good enough, and which difference is worth paying for."""

    metric: str
    """name of the primary scorer"""
    at_least: float = Field(gt=0.0, le=1.0)
    smallest_difference: float = Field(gt=0.0, lt=1.0)
    """smallest gain that matters, in score: 0.05 = five points"""
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    power: float = Field(default=0.8, gt=0.5, lt=1.0)


class Value(Record):
    """What being right is worth; without it the sum in euros cannot be done."""

    right_answer_eur: float | None = Field(default=None, ge=0.0)
    volume_per_month: int | None = Field(default=None, ge=0)


class Budget(Record):
    """What may be spent."""

    eur: float | None = Field(default=None, ge=0.0)
    training_hours: float = Field(default=24.0, gt=0.0)
    dev_calls: int = Field(default=400, ge=30)
    """most answers asked per lever while it is tuned on the development split"""
    seeds: int = Field(default=3, ge=1, le=10)
    """runs of the trained finalist"""


class Hardware(Record):
    """What it runs on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    memory_gb: float | None = Field(default=None, gt=0.0)
    """most memory to use; empty = what the machine has"""


class ScorerSpec(Record):
    """A further scorer, beside the metric of the bar."""

    name: str
    settings: dict[str, JsonValue] = {}


class UseCase(Record):
    """The whole specification."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    instruction: Annotated[str, Field(min_length=10)]
    """what the model is asked to do, as you would tell a colleague"""
    privacy: Privacy = "on_premises"
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
    metric_settings: dict[str, JsonValue] = {}
    """settings of the primary scorer, e.g. {pattern = "^[A-Z]"}"""
    override: dict[Literal["use_case", "data", "suite", "hardware", "discipline"], str] = {}
    """gate → written reason for passing it all the same; printed in the report"""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> UseCase:
        if not self.input:
            raise ValueError("the input has no field: [input.text]")
        known = METRICS[self.output.kind]
        if self.bar.metric not in known and self.bar.metric not in {spec.name for spec in self.scorers}:
            raise ValueError(
                f"bar.metric = {self.bar.metric!r} cannot judge a {self.output.kind} output; known: {', '.join(known)}"
            )
        short = [gate for gate, reason in self.override.items() if len(reason.split()) < 4]
        if short:
            raise ValueError(f"override.{short[0]}: write a reason that a colleague would accept (a sentence)")
        return self

    @property
    def docs_folder(self) -> str | None:
        """Folder of the documents, or None where no knowledge is needed."""
        return None if self.change.knowledge == "none" else self.change.knowledge


METRICS: dict[str, tuple[str, ...]] = {
    "label": ("classification", "exact"),
    "json": ("fields", "json_exact", "json_schema", "exact"),
    "text": ("exact", "contains", "squad_f1", "squad_em", "regex"),
}
"""Scorers that can carry the bar, by kind of output; the first is the default of `init`."""


def load(path: Path) -> UseCase:
    """Read and validate a usecase.toml.

    Raises:
        UseCaseError: the file is missing, is not TOML, or holds mistakes; all of them are listed.
    """
    where = str(path)
    try:
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        table = tomllib.loads(raw)
    except FileNotFoundError:
        raise UseCaseError(
            "there is no usecase.toml", [], next=f"run: tuneworthy init {path.parent.name or 'my-usecase'}", where=where
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, OSError) as error:
        raise UseCaseError(f"cannot be read: {error}", [], next="repair the file", where=where) from None
    problems = list(_vague(table)) + _load_schema_file(table, path.parent)
    try:
        usecase = UseCase.model_validate(table)
    except ValidationError as error:
        problems += [_explain(item, table) for item in error.errors(include_url=False, include_context=False)]
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


def _load_schema_file(table: dict[str, Any], folder: Path) -> list[Problem]:
    import json

    output = table.get("output")
    if not isinstance(output, dict) or not isinstance(output.get("schema"), str):
        return []
    path = folder / output["schema"]
    try:
        output["schema"] = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        del output["schema"]
        return [Problem("output.schema", str(path), f"cannot be read as JSON: {error}")]
    return []


def _check_schema(usecase: UseCase, where: str) -> None:
    if usecase.output.json_schema is None:
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(usecase.output.json_schema)
    except SchemaError as error:
        key = ".".join(["output.schema", *map(str, error.absolute_path)])
        raise UseCaseError(
            "1 mistake", [Problem(key, "", error.message)], next="repair the schema", where=where
        ) from None


def _explain(item: Mapping[str, Any], table: Mapping[str, Any]) -> Problem:
    location = [str(part) for part in item["loc"] if part != "json_schema"]
    key = ".".join(location) or "usecase.toml"
    reason = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        near = get_close_matches(location[-1], _known_keys(location[:-1]), n=1, cutoff=0.5)
        return Problem(
            key,
            "",
            "unknown key",
            f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_known_keys(location[:-1]))}",
        )
    if item["type"] == "missing":
        return Problem(key, "", "is missing")
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        near = get_close_matches(item["input"], _quoted(reason), n=1, cutoff=0.4)
        return Problem(key, repr(item["input"]), reason, f"did you mean {near[0]!r}?" if near else "")
    value = "" if isinstance(item["input"], dict | list) else repr(item["input"])
    return Problem(key, value, reason)


def _quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


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
