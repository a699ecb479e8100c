"""A folder with one file for each example.

a folder per label       card/0001.txt, cash/0002.txt: the name of the folder is the expected output
pairs                    input/0001.txt (or .json: an object of fields) and expected/0001.txt (or .json)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneworthy.data.formats import Format, asked_field, fill
from tuneworthy.data.json_rows import parse_json
from tuneworthy.data.rows import LONGEST_ROW, RawRow, not_utf8, too_long
from tuneworthy.errors import DataError
from tuneworthy.usecase import UseCase

INPUT, EXPECTED = "input", "expected"
"""Folders of pairs."""
TEXTS = (".txt", ".md", ".json")


def read(folder: Path, usecase: UseCase) -> tuple[list[RawRow], Format]:
    """One row per file, by name; hidden files are passed over, every other that is no text is a row with the reason.

    Raises:
        DataError: the folder is neither of the two, or cannot be read.
    """
    try:
        inner = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        folders = [path for path in inner if path.is_dir()]
        if {path.name for path in folders} == {INPUT, EXPECTED}:
            rows, name, asked, answered = _pairs(folder), "pairs of files", f"{INPUT}/*", f"{EXPECTED}/*"
        else:
            rows, name, asked, answered = _labelled(folders), "a folder per label", "the file", "the name of its folder"
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", [], next="check the folder's permissions", where=str(folder)
        ) from None
    if not rows:
        raise DataError(
            "the folder holds neither a folder per label, nor the folders input and expected with a file for each row",
            [],
            next="name a file, or sort the files: LABEL/NAME.txt, or input/NAME.txt and expected/NAME.txt",
            where=str(folder),
        )
    rows += [_odd(path, folder) for path in inner if path not in folders]

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return fill(usecase, row.get(INPUT)), row.get(EXPECTED)

    return rows, Format(name, {asked_field(usecase): asked, "expected": answered}, turn)


def _labelled(folders: list[Path]) -> list[RawRow]:
    rows = []
    for label in folders:
        for path in sorted(path for path in label.iterdir() if not path.name.startswith(".")):
            rows.append(_row(path, label.parent, {EXPECTED: label.name}, json=False))
    return rows


def _pairs(folder: Path) -> list[RawRow]:
    """Files of the same name but for the ending belong together."""
    sides: dict[str, dict[str, Path]] = {INPUT: {}, EXPECTED: {}}
    rows = []
    for side, found in sides.items():
        for path in sorted(path for path in (folder / side).iterdir() if not path.name.startswith(".")):
            if path.stem in found:
                rows.append(_odd(path, folder, f"{found[path.stem].name} has the same name"))
            else:
                found[path.stem] = path
    for stem, path in sides[INPUT].items():
        if stem not in sides[EXPECTED]:
            rows.append(_odd(path, folder, f"there is no {EXPECTED}/{stem}.txt or .json"))
            continue
        answer = _row(sides[EXPECTED][stem], folder, {}, json=True)
        asked = _row(path, folder, {EXPECTED: answer.values.get(INPUT)}, json=True)
        rows.append(answer if answer.problem else asked)
    rows += [
        _odd(path, folder, f"there is no {INPUT}/{stem}.txt or .json")
        for stem, path in sides[EXPECTED].items()
        if stem not in sides[INPUT]
    ]
    return rows


def _row(path: Path, top: Path, more: dict[str, Any], *, json: bool) -> RawRow:
    """The content of a file as `input`, its line ends and the one at its end as a text editor shows them."""
    if path.suffix.lower() not in TEXTS or not path.is_file():
        return _odd(path, top)
    file = path.relative_to(top).as_posix()
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return RawRow(1, problem=not_utf8(raw, error.start, "the file"), text=repr(raw[:1000])[2:-1], file=file)
    except OSError as error:
        return RawRow(1, problem=f"cannot be read: {error.strerror or error}", file=file)
    if len(text) > LONGEST_ROW:
        return replace(too_long(1, text), file=file)
    value: Any = text.replace("\r\n", "\n").removesuffix("\n")
    if json and path.suffix.lower() == ".json":
        try:
            value = parse_json(text)
        except ValueError as error:
            return RawRow(1, problem=str(error), text=text, file=file)
    return RawRow(1, {INPUT: value, **more}, text=text, file=file)


def _odd(path: Path, top: Path, why: str = "") -> RawRow:
    what = "is a folder" if path.is_dir() else f"is no text ({', '.join(TEXTS)})"
    return RawRow(1, problem=why or f"{what}, so it is no example", file=path.relative_to(top).as_posix())
