"""`tuneworthy init`: a folder that runs, and every key with its default."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tuneworthy.content import write_whole
from tuneworthy.errors import TuneworthyError
from tuneworthy.usecase import NAME, NAME_MOST, UseCase

TEMPLATES = ("classification", "extraction", "answers", "style")


def create(folder: Path, template: str) -> list[Path]:
    """Write a use case from a template; the files written.

    Raises:
        TuneworthyError: the folder holds something already, or its name cannot be a use case's name.
        StorageError: the folder cannot be written.
    """
    name = folder.resolve().name
    if not re.fullmatch(NAME, name) or len(name) > NAME_MOST:
        raise TuneworthyError(
            f"{name!r} cannot be a name",
            why=f"names are lower-case letters, digits and dashes, {NAME_MOST} at most",
            next="e.g. my-usecase",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TuneworthyError("this folder holds something already", next="choose a new name", where=str(folder))
    written: list[Path] = []
    present = folder.exists()
    try:
        for target, text in _files(folder, template, name):
            written.append(target)
            write_whole(target, text)
    except BaseException:  # half a use case would be in the way of the next attempt
        for path in written:
            path.unlink(missing_ok=True)
        _remove_empty(folder, itself=not present)
        raise
    return written


def _files(folder: Path, template: str, name: str) -> Iterator[tuple[Path, str]]:
    yield folder / ".gitignore", ".tuneworthy/\n"
    with as_file(files("tuneworthy") / "templates" / template) as source:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            text = path.read_text("utf-8")
            if path.name == "usecase.toml":
                text = text.replace('name = "NAME"', f'name = "{name}"')
            yield folder / path.relative_to(source), text


def _remove_empty(folder: Path, *, itself: bool) -> None:
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    if itself and folder.is_dir():
        folder.rmdir()


def explain() -> str:
    """Every key of usecase.toml with its meaning and default, as commented TOML."""
    return "\n".join(["# Every key of usecase.toml. «required» has no default.", *_table(UseCase, "")]) + "\n"


def _table(model: type[BaseModel], path: str) -> Iterator[str]:
    """Plain keys first, then the tables below: TOML wants it so."""
    nested = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner = _inner_model(field)
        if inner is not None:
            nested.append((key, field, inner))
        else:
            yield from _key(key, field)
    for key, field, inner in nested:
        many = get_origin(field.annotation) is dict
        repeated = get_origin(field.annotation) is tuple
        where = ".".join(part for part in (path, key, "«name»" if many else "") if part)
        yield ""
        yield f"[[{where}]]" if repeated else f"[{where}]"
        yield from _table(inner, where)


def _key(key: str, field: FieldInfo) -> Iterator[str]:
    choices = ", ".join(map(str, _choices(field.annotation)))
    meaning = [" ".join((field.description or "").split()), f"one of: {choices}" if choices else ""]
    if any(meaning):
        yield f"# {'; '.join(part for part in meaning if part)}"
    yield f"{key} = {_default(field)}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "«required»"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "«empty»"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := _choices(part))), ())


def _inner_model(field: FieldInfo) -> type[BaseModel] | None:
    parts = [field.annotation, *get_args(field.annotation)]
    if get_origin(field.annotation) in (Union, types.UnionType):
        parts = list(get_args(field.annotation))
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
