"""Who may come in: this machine only, with the link that was printed, from this very page.

Host header         must name this machine: a foreign name that resolves here (DNS rebinding) is refused
token               in the opening link, good for one browser; it becomes a cookie that scripts cannot read
Origin, form token  both are needed for every change: another site cannot make a browser send them (CSRF)
headers             nothing is loaded from elsewhere, framed, sniffed, cached, or told to other sites
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "tuneworthy"
BODY_MOST = 2_000_000
"""bytes of a form"""
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # no-referrer would make browsers send `Origin: null` with forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that is not answered."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass
class Door:
    """The session of one server."""

    names: frozenset[str]
    """values of the Host header that mean this server"""
    _tokens: set[str] = field(default_factory=set)
    _sessions: set[str] = field(default_factory=set)

    def invite(self) -> str:
        """A token that opens one browser."""
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return token

    def welcome(self, request: Request) -> Response | None:
        """The answer to a link with a token; None where there is none. Raises Refused."""
        token = request.query_params.get("token")
        if token is None:
            return None
        self._check_host(request)
        if not any(hmac.compare_digest(token.encode(), known.encode()) for known in self._tokens):
            if self.known(request):
                return RedirectResponse(request.url.path, 303)
            raise Refused(403, "This link was used already. Ask for a new one where the workbench was started.")
        self._tokens.discard(token)
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        response = RedirectResponse(request.url.path, 303)
        response.set_cookie(COOKIE, session, httponly=True, samesite="strict", path="/")
        return response

    def known(self, request: Request) -> bool:
        """Whether the browser came in through a link."""
        return request.cookies.get(COOKIE, "") in self._sessions

    def check(self, request: Request) -> None:
        """Raises Refused for a request that this page did not make."""
        self._check_host(request)
        if not self.known(request):
            raise Refused(403, "Open the workbench with the link that was printed where it was started.")
        if request.method not in ("GET", "HEAD"):
            origin = urlsplit(request.headers.get("origin", ""))
            if origin.netloc not in self.names:
                raise Refused(403, "This change was not asked for by a page of the workbench.")

    def form_token(self, request: Request) -> str:
        """What every form that goes to this browser carries."""
        session = request.cookies.get(COOKIE, "")
        return hmac.new(session.encode(), b"form", "sha256").hexdigest()

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form, the last of equal names. Raises Refused: too large, not text, or of another session."""
        return {name: values[-1] for name, values in (await self.fields(request)).items()}

    async def fields(self, request: Request) -> Mapping[str, list[str]]:
        """The fields of a form, all of equal names. Raises Refused as `form`."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_MOST:
                raise Refused(413, f"More than {BODY_MOST:,} bytes cannot be taken at once.")
        try:
            found = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000)
        except ValueError:
            raise Refused(400, "The form cannot be read.") from None
        if not hmac.compare_digest("".join(found.pop("form", [""])).encode(), self.form_token(request).encode()):
            raise Refused(403, "This form is of another session. Reload the page.")
        return found

    def _check_host(self, request: Request) -> None:
        if request.headers.get("host", "") not in self.names:
            raise Refused(400, "This address is not the workbench's own.")


def names_of(port: int) -> frozenset[str]:
    """How this machine may be called in a Host header."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


def refusal(error: Refused) -> Response:
    """A refusal, as text."""
    return PlainTextResponse(f"{error.why}\n", error.status)
