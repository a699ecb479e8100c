"""Pages from templates: text that nobody vouches for is escaped and made visible in every expression, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuneworthy.report import wording


def environment(package: str, folder: str, filters: Iterable[Callable[..., Any]]) -> Environment:
    """The templates of a folder of a package. Functions serve as filters under their own names."""
    found = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {write_it.__name__: write_it for write_it in filters}
    return found


def _finalize(value: Any) -> Any:
    """Every expression of a template passes here: no text can be forgotten, and None is never blank or zero."""
    if value is None:
        return wording.NOT_MEASURED
    return value if isinstance(value, Markup) else wording.visible(str(value))
