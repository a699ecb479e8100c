"""One verdict on one row of a review file, written whole; a verdict that somebody else gave in the meantime stays."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from tuneworthy.content import write_whole
from tuneworthy.data.checks import audit
from tuneworthy.data.values import Expected
from tuneworthy.errors import DataError
from tuneworthy.usecase import Output


def put(path: Path, name: str, verdict: str, instead: JsonValue, *, seen: str, output: Output) -> None:
    """Write one verdict.

    Args:
        seen: the verdict that the person was shown, empty for none.

    Raises:
        DataError: no such row or verdict; another verdict stands by now; or what it should be does not fit.
    """
    rows = list(audit.read(path))
    place = next((n for n, row in enumerate(rows) if row.name == name), None)
    if place is None:
        raise DataError("this row is not to be judged any more", [], next="go on with the next one", where=str(path))
    if verdict not in ("", *audit.VERDICTS):
        raise DataError(f"{verdict!r} is no verdict", [], next="choose right or wrong")
    row = rows[place]
    if row.verdict.strip() != seen:
        raise DataError(
            f"somebody else has judged this row in the meantime: {row.verdict}",
            [],
            next="look at it again before you change it",
        )
    if verdict == "wrong" and instead is not None:
        try:
            instead = Expected(output).read(instead)
        except ValueError as error:
            raise DataError(str(error), [], next="correct what it should be") from None
    rows[place] = row.model_copy(update={"verdict": verdict, "instead": instead if verdict == "wrong" else row.instead})
    write_whole(path, "".join(f"{json.dumps(r.model_dump(mode='json'), ensure_ascii=False)}\n" for r in rows))
