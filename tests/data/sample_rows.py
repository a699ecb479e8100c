"""Use cases and rows for the tests of the data stage."""

from tuneworthy.records import Example
from tuneworthy.usecase import UseCase


def make_usecase(
    *, fields=("text",), labels=("card", "cash"), schema=None, kind=None, types=None, optional=(), **output
):
    """A use case with the given shape; all else is the least that is valid."""
    kind = kind or ("json" if schema else "label" if labels else "text")
    shape = {"kind": kind, **output}
    shape |= {"labels": list(labels)} if kind == "label" else {}
    shape |= {"schema": schema} if kind == "json" else {}
    metric = {"label": "classification", "json": "fields", "text": "exact"}[kind]
    types = types or {}
    return UseCase.model_validate(
        {
            "name": "test-case",
            "instruction": "Say what this is about.",
            "input": {
                f: {"type": types.get(f, "text"), "required": f not in optional, "max_chars": 200} for f in fields
            },
            "output": shape,
            "bar": {"metric": metric, "at_least": 0.8, "smallest_difference": 0.05},
        }
    )


def rows(*texts, expected="card"):
    """Examples with these texts as input."""
    return tuple(Example(input={"text": text}, expected=expected) for text in texts)
