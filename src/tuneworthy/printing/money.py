"""The sections of a plan about money, licence and law, as a person reads them."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tuneworthy.plan.records import BreakEven, Euros, Figure, Licence, Plan, Privacy, Serving
from tuneworthy.printing.console import grid, named
from tuneworthy.report.money import euros as whole
from tuneworthy.report.money import euros_range, months, months_range
from tuneworthy.report.wording import NOT_MEASURED, number, percent, points, visible

_ANSWERS = {"allowed": "green", "allowed with duties": "green", "not allowed": "red", "unknown": "yellow"}


def sections(console: Console, made: Plan) -> None:
    """Whichever of them the plan has."""
    if made.euros is not None:
        _euros(console, made.euros)
    if made.break_even is not None:
        _break_even(console, made.break_even)
    if made.licence is not None:
        _licence(console, made.licence)
    if made.privacy is not None:
        _privacy(console, made.privacy)


def _euros(console: Console, held: Euros) -> None:
    share = held.data_share.value
    data = f"; data work is {percent(share)} of it" if share is not None else ""
    named(console, "euros", f"{_told(held.once)} once for a first version that works ({held.once.basis}){data}")
    table = grid(("once", "left"), ("", "left"), ("EUR", "right"), ("range", "right"))
    for post in held.posts:
        table.add_row(post.name, post.group, whole(post.amount), euros_range(post.amount))
    console.print(table)
    named(console, "compute", f"{_told(held.per_iteration)} an iteration")
    table = grid(("a month", "left"), ("", "left"), ("EUR", "right"), ("range", "right"))
    for post in held.monthly:
        table.add_row(post.name, post.group, whole(post.amount), euros_range(post.amount))
    console.print(table)
    if held.serving is not None:
        _serving(console, held.serving)


def _serving(console: Console, serving: Serving) -> None:
    bought = [f"{post.name} {_cents(post.amount)}" for post in serving.services if post.amount.value is not None]
    if not bought:
        named(console, "serving", f"{NOT_MEASURED}: {serving.tokens_per_month.source}")
        return
    used = serving.utilisation.value
    load = f", {100 * used:.2g} % used" if used is not None else ""
    from_here = serving.break_even.value
    pays = f"; a GPU is cheaper from {from_here:,.0f} tokens a month" if from_here is not None else ""
    tokens = f"{number(serving.tokens_per_month.value)} tokens a month: "
    own = f"{number(serving.machines.value)} GPU{load}" if serving.own.value is not None else "own machine"
    named(console, "serving", f"{tokens}{own}; by the token {', '.join(bought)}{pays}")


def _break_even(console: Console, held: BreakEven) -> None:
    needed = held.needed.value if held.needed is not None else None
    if held.needed is not None and needed is not None:
        gain, low, high = (points(end).removeprefix("+") for end in (needed, held.needed.low, held.needed.high))
        none = "; more than there is to gain" if needed >= 1 else ""
        named(console, "pays", f"within {held.horizon} months from a gain of {gain} points ({low} to {high}){none}")
    if not held.possible:
        named(console, "pays" if needed is None else "", held.why_not)
        return
    columns = ("gain", "once", "a month", "months", "80 %", "never", f"after {held.horizon} months")
    table = grid(("lever", "left"), *((name, "right") for name in columns))
    for p in held.paybacks:
        table.add_row(
            *(f"{p.lever} over {p.reference}", points(p.gain.value), whole(p.once), whole(p.monthly)),
            *(months(p.months), months_range(p.months), percent(p.never), whole(p.net)),
        )
    console.print(table)


def _licence(console: Console, held: Licence) -> None:
    console.print(
        Text(f"{'licence':<10}", style="dim"), Text(held.answer, style=_ANSWERS[held.answer]), sep="", soft_wrap=True
    )
    for link in held.links:
        found = f"{link.licence or 'not known'} ({link.found_in})" if link.found_in else link.licence or "not known"
        unread = "" if link.verified else ", not verified"
        why = f": {link.reason}" if link.reason else ""
        named(console, "", f"{visible(link.name)} [{link.role}]: {found}{unread}, {link.answer}{visible(why)}")
    for duty in held.duties:
        named(console, "", f"duty: {duty.text}")
    for told, texts in (("ask", held.questions), ("told", held.contradictions)):
        for text in texts:
            named(console, "", f"{told}: {visible(text)}")


def _privacy(console: Console, held: Privacy) -> None:
    seen = (
        f"{len(held.contacts)} address or offer is"
        if len(held.contacts) == 1
        else (f"{len(held.contacts)} addresses and offers are")
    )
    named(console, "privacy", f"{held.posture}; {seen} named")
    for contact in held.contacts:
        named(console, "", f"{contact.answer}: {visible(contact.key)} → {visible(contact.host)} ({contact.reason})")
    if held.arithmetic:
        named(console, "AI Act", held.arithmetic)
    if held.law:
        points_told = ", ".join(point.id for point in held.law)
        named(console, "law", f"{points_told}: each with its source in plan.json; information, not legal advice")


def _told(figure: Figure) -> str:
    limits = euros_range(figure)
    return whole(figure) + (f" ({limits})" if limits else "")


def _cents(figure: Figure) -> str:
    value = figure.value or 0.0
    return whole(figure) if value >= 10 else f"{value:.2f}\u202f€"
