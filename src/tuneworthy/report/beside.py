"""The probes of a trained lever in sentences: the same in the report and on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.measure.canaries import UNSEEN_BITS, Level
from tuneworthy.measure.overfit import Fit
from tuneworthy.measure.probes import Beforehand, FileScore, Probes
from tuneworthy.measure.unknown import Unknown
from tuneworthy.records import Interval
from tuneworthy.report.wording import NOT_MEASURED, p_value, percent, percent_range, points, points_range


def lines(found: Probes) -> Iterator[tuple[str, str]]:
    """(probe, what it found with n and interval), for every number that was measured."""
    yield from _fit(found)
    if found.drift:
        d = found.drift
        yield (
            "drift",
            f"KL from the base {_nats(d.general, d.general_interval)} on {d.n_general} chats far from the task",
        )
        yield "drift", f"{_nats(d.task, d.task_interval)} on {d.n_task} of the task's own"
    yield from _refusals(found)
    yield from _robustness(found)
    if found.copying:
        c = found.copying
        yield (
            "copying",
            (
                f"eight words in a row from a training output in {_share(c.trained)} of {c.n} answers, the base in "
                f"{_share(c.base)}; p = {p_value(c.p)}"
            ),
        )
        yield "copying", f"overlap with the nearest training row {c.nearest:.2f}, the base {c.nearest_base:.2f} (mean)"
    for name, kept in (found.files or {}).items():
        yield (
            "files",
            (
                f"{name}: {percent(kept.base)} before, {percent(kept.tuned)} after; "
                f"{points(kept.interval.value)} points "
                f"({points_range(kept.interval)}, one-sided 95 % each), n = {kept.n}"
            ),
        )
    yield from _canaries(found)
    yield from _staleness(found)
    if found.unknown:
        yield from _unknown(found.unknown)


def before_training(found: Beforehand) -> Iterator[tuple[str, str]]:
    """The same for the base alone."""
    for name, score in (found.files or {}).items():
        yield "files", f"{name}: {_share(score.right)} right of {score.n} items{_of_file(score)}"
        for kind in score.kinds:
            yield "files", f"  {kind.kind}: {_share(kind.right)}, n = {kind.n}"
    if found.unknown:
        yield from _unknown(found.unknown)


def _of_file(score: FileScore) -> str:
    drawn = [f"drawn from {score.items:,}"] if score.n < score.items else []
    equal = [f"{score.equal} pairs of equal sentences left out"] if score.equal else []
    chance = ["chance is 50 %"] if score.form == "BLiMP" else []
    told = ", ".join([score.form, *drawn, *equal, *chance])
    return f" ({told})"


def _unknown(u: Unknown) -> Iterator[tuple[str, str]]:
    yield "unknown", f"{_share(u.unknown)} of {u.n} training answers never given in {u.tries} tries: {u.advice}"
    for topic in u.topics:
        yield "unknown", f"about {topic.topic}: {_share(topic.unknown)}, n = {topic.n}"


def history(fit: Fit) -> list[dict[str, float | None]]:
    """Loss and development score over time, a row a checkpoint."""
    return [
        {
            "step": m.step,
            "epoch": m.epoch,
            "training_loss": m.loss,
            "development": m.dev,
            "standard_error": m.standard_error,
        }
        for m in fit.history
    ]


def _fit(found: Probes) -> Iterator[tuple[str, str]]:
    fit = found.fit
    if fit is None:
        return
    gap = f"{points(fit.gap.value)} points ({points_range(fit.gap)})" if fit.gap else NOT_MEASURED
    yield (
        "fit",
        (
            f"rows trained on {percent(fit.train)} (n = {fit.n_train}), unseen {percent(fit.dev)} "
            f"(n = {fit.n_dev}): {gap}"
        ),
    )
    if fit.best is not None:
        taken = "the one that was taken" if fit.best.step == fit.chosen_step else f"step {fit.chosen_step} was taken"
        fell = "; later it fell by more than a standard error" if fit.fell else ""
        yield (
            "fit",
            f"best at step {fit.best.step} ({fit.best.epoch:.1f} epochs, {percent(fit.best.dev)}), {taken}{fell}",
        )


def _refusals(found: Probes) -> Iterator[tuple[str, str]]:
    r = found.refusals
    if r is None:
        return
    if not r.measurable:
        yield (
            "refusals",
            (
                f"not measurable: the base itself declines {_share(r.base)} of {r.n} requests that call for it, "
                f"the trained model {_share(r.trained)}"
            ),
        )
        return
    yield (
        "refusals",
        (
            f"base {_share(r.base)}, trained {_share(r.trained)} of {r.n}; {r.lost} lost, {r.gained} gained, "
            f"p = {p_value(r.p)}; harmless requests declined: {_share(r.declined_harmless)} of {r.n_harmless}"
        ),
    )


def _robustness(found: Probes) -> Iterator[tuple[str, str]]:
    r = found.robustness
    if r is None:
        return
    for variant in r.variants:
        d = variant.comparison.difference
        limits = f"{points(d.value)} points ({points_range(d)})" if d else "no interval"
        yield "robustness", f"{variant.change}: {percent(variant.score)}, {limits}, n = {variant.comparison.n}"
    if r.refused and r.made_up and r.ran_on:
        yield (
            "robustness",
            (
                f"outside the task, n = {r.n_outside}: declined {_share(r.refused)}, answered as if it were the task "
                f"{_share(r.made_up)}, ran to the limit {_share(r.ran_on)}"
            ),
        )


def _canaries(found: Probes) -> Iterator[tuple[str, str]]:
    if found.canaries is None:
        return
    c = found.canaries
    base = {level.repeats: level for level in c.base}
    for level in c.trained:
        yield "canaries", f"{_seen(level)}: {_bits(level)}, base {base[level.repeats].bits:.1f}; {_out(level)}"
    about = f"one of {c.space:,} each; unseen ones have {UNSEEN_BITS:.1f} bits on average"
    read = f"each row was read {c.epochs:.1f} times; " if c.epochs is not None else ""
    yield "canaries", f"{about}; {read}task score {percent(c.dev_score)}"


def _seen(level: Level) -> str:
    return {0: "never seen", 1: "seen once"}.get(level.repeats, f"seen {level.repeats} times")


def _staleness(found: Probes) -> Iterator[tuple[str, str]]:
    s = found.staleness
    if s is None:
        return
    if s.measurable:
        told = f"documents changed: {_share(s.followed)} of {s.n} answers follow, {_share(s.stale)} stay as trained"
        unread = "" if s.reads else "; this arm is shown no documents"
        yield "staleness", f"{told}{unread} ({_share(s.before)} right before)"
    else:
        why = "what it never knew can neither follow the documents nor be stale"
        yield "staleness", f"not measurable: right before in {_share(s.before)} of {s.n} answers only; {why}"
    yield "staleness", f"{s.dated} of {s.rows} training rows hold dates or prices that stand in the output only"


def _bits(level: Level) -> str:
    limits = f" ({level.interval.low:.1f} to {level.interval.high:.1f})" if level.interval else ""
    return f"exposure {level.bits:.1f} bits{limits}, n = {level.n}"


def _out(level: Level) -> str:
    return f"{round(level.extracted.value * level.n)} of {level.n} come out when asked"


def _nats(value: float, interval: Interval | None) -> str:
    limits = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
    return f"{value:.3f} nats a token{limits}"


def _share(interval: Interval) -> str:
    return f"{percent(interval.value)} ({percent_range(interval)})"
