"""One request to the workbench: who asks, in which language, and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tuneworthy.errors import TuneworthyError
from tuneworthy.project import user
from tuneworthy.report import templates, wording
from tuneworthy.workbench.words import LANGUAGES, preferred, speaker

if TYPE_CHECKING:
    from tuneworthy.workbench.app import Workbench

NAME_COOKIE, LANGUAGE_COOKIE, TOLD_COOKIE = "tuneworthy-name", "tuneworthy-language", "tuneworthy-told"
NAME_MOST = 40
TEXT_MOST = 4000
"""longest text of a row that a list shows; a page of its own shows all"""


@dataclass
class Visit:
    """A request that came through the door."""

    bench: Workbench
    request: Request

    @property
    def who(self) -> str:
        """The name under which this browser labels and votes."""
        return unquote(self.request.cookies.get(NAME_COOKIE, "")) or user()

    @property
    def language(self) -> str:
        """en or de."""
        chosen = self.request.cookies.get(LANGUAGE_COOKIE, "")
        return chosen if chosen in LANGUAGES else preferred(self.request.headers.get("accept-language", ""))

    def say(self, text: str, **fields: object) -> str:
        """A text of ours in the visitor's language."""
        return speaker(self.language)(text, **fields)

    async def form(self) -> dict[str, str]:
        """Fields of the form that was sent."""
        return await self.bench.door.form(self.request)

    async def fields(self) -> Mapping[str, list[str]]:
        """The same with all of equal names."""
        return await self.bench.door.fields(self.request)

    def number(self, name: str) -> int:
        """A whole number of the address; 0 for anything else."""
        given = self.request.query_params.get(name, "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 8 else 0

    @property
    def piece(self) -> bool:
        """Whether a script asks for a part of a page only."""
        return self.request.headers.get("x-piece") == "1"

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page, or its main part where a script asks for that."""
        told = unquote(self.request.cookies.get(TOLD_COOKIE, ""))
        html = (
            _environment()
            .get_template(template)
            .render(
                say=self.say,
                who=self.who,
                language=self.language,
                languages=LANGUAGES,
                usecase=self.bench.project.usecase,
                form_token=self.bench.door.form_token(self.request),
                here=self.request.url.path,
                frame="piece.html" if self.piece else "layout.html",
                told=told,
                **context,
            )
        )
        response = HTMLResponse(html, status)
        if told and not self.piece:
            response.delete_cookie(TOLD_COOKIE, path="/")
        return response

    def go(self, path: str, told: str = "") -> Response:
        """To another page, which says what was done."""
        response = RedirectResponse(path, 303)
        if told:
            response.set_cookie(TOLD_COOKIE, quote(told[:1500]), max_age=60, httponly=True, samesite="strict", path="/")
        return response

    def problem(self, error: TuneworthyError) -> Response:
        """What went wrong, and what to do, as a page."""
        return self.page("problem.html", status=409, error=error)


@cache
def _environment() -> Environment:
    found = templates.environment(
        "tuneworthy.workbench",
        "pages",
        (
            *(wording.percent, wording.percent_range, wording.points, wording.points_range, wording.number),
            *(wording.as_text, wording.p_value),
        ),
    )
    # what a form sends back must be what was there: nothing in it is spelled out
    found.filters["unchanged"] = lambda text: Markup(escape(text))
    found.globals["text_most"] = TEXT_MOST
    return found
