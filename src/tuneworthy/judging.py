"""What people and judges say of answers, and what the same arms say when asked again, on one screen.

    labels → calibrated judge;  two arms → blind pairs → votes;  logs of other tools → the same statistics
    two arms → a pairwise judge, corrected by what people said
    two arms → asked again, several times → how steady they are

Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuneworthy.answering import Answerer, candidate_digest
from tuneworthy.content import file_digest, write_whole
from tuneworthy.data import judged, read
from tuneworthy.errors import JudgeNotCalibrated, TuneworthyError
from tuneworthy.exchange import judge as outside
from tuneworthy.exchange.judge import Judged
from tuneworthy.flow import last_run, measured, open_bench, paired
from tuneworthy.ground import Ground
from tuneworthy.ladder import Listener
from tuneworthy.levers.bench import Bench
from tuneworthy.measure import judged_pairs
from tuneworthy.measure.calibrate import calibrate
from tuneworthy.measure.evaluate import measure
from tuneworthy.measure.judged_pairs import JudgedPairs
from tuneworthy.measure.repeats import Repeated, repeated
from tuneworthy.measure.side_by_side import BlindKey, SideBySide, count, pair_up
from tuneworthy.project import open_project
from tuneworthy.records import Arm, Calibration
from tuneworthy.runs import RunRecord
from tuneworthy.scorers.judge import calibrated, uncalibrated
from tuneworthy.suite import openings


def judge(logs: Sequence[Path], *, metric: str, against: str) -> Judged:
    """Arms in logs of other tools, case by case. Exploratory: nobody locked those cases."""
    return outside.judge(logs, metric=metric, against=against)


def calibrate_judge(folder: Path, labels: Path | None) -> Calibration:
    """Hold the judge against people on suite/judged.jsonl, or on a file that is taken there; write suite/judge.json.

    Raises:
        PrivacyRefused: the judge's endpoint is not allowed.
        GateRefused: too few labels.
        DataError: the labels cannot be read, or others lie in suite/judged.jsonl.
    """
    project = open_project(folder)
    with project.busy("suite judge"):
        asked = uncalibrated(project.usecase, project.folder)
        if labels is not None:
            judged.take(labels, project)
        found = calibrate(asked, judged.read(project), labels_digest=file_digest(project.judged_file))
        write_whole(project.calibration_file, found.model_dump_json(indent=1) + "\n")
    return found


def draft_labels(folder: Path, out: Path) -> int:
    """Write answers of the last run for people to judge; how many."""
    project = open_project(folder)
    record = last_run(project)
    cases = {case.id: case for case in read.read_cases(project.cases_file, project.usecase)}
    answers = {
        arm.name: [
            (cases[row.id], row.outputs[arm.name].text)
            for row in record.cases
            if row.id in cases and arm.name in row.outputs
        ]
        for arm in record.arms
    }
    return judged.write_draft(out, answers, seed=project.usecase.seed)


def blind_pairs(folder: Path, reference: str, candidate: str, out: Path) -> BlindKey:
    """Write the answers of two arms of the last run as pairs that do not say whose they are; the key lies apart."""
    project = open_project(folder)
    with project.busy("compare"):
        record, ground = measured(project)
        pairs, key = pair_up(record.arm(reference), record.arm(candidate), ground.cases, seed=ground.usecase.seed)
        judged.write_pairs(out, pairs)
        write_whole(project.blind_key(pairs[0].pair), key.model_dump_json(indent=1) + "\n")
    return key


def count_votes(folder: Path, reference: str, candidate: str, file: Path) -> SideBySide:
    """What people say of two arms of a run.

    Raises:
        TuneworthyError: the votes are about other arms, or cannot be counted.
    """
    project = open_project(folder)
    given = judged.read_votes(file, project.usecase)
    return count(given, judged.key_to(given, project, reference, candidate))


def judge_pairs(folder: Path, reference: str, candidate: str) -> JudgedPairs:
    """Ask the pairwise judge which of two arms of the last run people would prefer.

    Raises:
        JudgeNotCalibrated: it was not held against people on pairs, or fell short of what carrying a bar takes.
        PrivacyRefused: its endpoint is not allowed.
        TuneworthyError: there is no such arm.
    """
    project = open_project(folder)
    with project.busy("compare"):
        asked = calibrated(project.usecase, project.folder, decides=True)
        if asked.calibration is None or asked.spec.mode != "pairwise":
            raise JudgeNotCalibrated(
                "this judge was held against people on single answers, not on pairs",
                why="how often it is wrong about two answers is another question",
                next=f'set judge.mode = "pairwise"; vote: tuneworthy compare {reference} {candidate} --blind FILE; '
                "then: tuneworthy suite judge --labels FILE",
                where=str(project.usecase_file),
            )
        record, ground = measured(project)
        return judged_pairs.judge_pairs(
            asked,
            asked.calibration,
            record.arm(reference),
            record.arm(candidate),
            ground.cases,
            votes=judged.read_votes(project.judged_file, project.usecase),
            seed=ground.usecase.seed,
            alpha=ground.usecase.bar.alpha,
            clusters=ground.clusters,
        )


def repeat(
    folder: Path, reference: str, candidate: str, listener: Listener, *, times: int, temperature: float | None = None
) -> Repeated:
    """Ask two arms of the last run the locked cases again, several times: how steady are they, and is the difference?

    Args:
        temperature: of sampling; None = the decoding that was locked, which is greedy.

    Raises:
        TuneworthyError: there is no such arm, or less than two times are asked for.
    """
    if times < 2:
        raise TuneworthyError("one answer says nothing about the next", next="ask at least twice: --repeats 5")
    project = open_project(folder)
    with project.busy("compare"):
        record, ground = measured(project)
        once, bench = paired(record, ground, reference, candidate), open_bench(ground)
        arms = {
            name: [
                _asked_again(bench, ground, record, name, number, temperature, listener)
                for number in range(1, times + 1)
            ]
            for name in (reference, candidate)
        }
    bar, yardstick = ground.usecase.bar, ground.yardstick
    return repeated(
        arms[reference],
        arms[candidate],
        once,
        binary=yardstick.primary.binary,
        right=yardstick.right_from(bar),
        smallest=bar.smallest_difference,
        power=bar.power,
        alpha=bar.alpha,
        seed=ground.usecase.seed,
        clusters=ground.clusters,
        judge=yardstick.calibration,
    )


def _asked_again(
    bench: Bench,
    ground: Ground,
    record: RunRecord,
    name: str,
    number: int,
    temperature: float | None,
    listener: Listener,
) -> Arm:
    """One repeat of an arm, with a seed of its own; a look at the locked cases, and logged as one."""
    was = record.candidates[name]
    changed = {"seed": was.decoding.seed + number} | ({} if temperature is None else {"temperature": temperature})
    candidate = was.model_copy(update={"decoding": was.decoding.model_copy(update=changed)})
    if ground.lock is not None:
        openings.open_cases(
            ground.project.openings_file,
            lock_digest=ground.lock.digest,
            arm=name,
            arm_digest=candidate_digest(candidate),
            contrast=f"{name}, asked again",
        )
    return measure(
        name,
        Answerer(candidate, bench.sources),
        ground.cases,
        ground.yardstick,
        cases_digest=ground.lock.digest if ground.lock else "unlocked",
        store=ground.project.answers,
        on_progress=lambda done, total: listener.step(f"{name}: repeat {number}", done, total),
        exploratory=True,
    )
