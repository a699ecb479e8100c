"""The workbench with 100,000 rows: the first page, a search, a filter, the next row to label; memory.

`python -m benchmarks.workbench` starts the real server, asks it as a browser does, and writes its part of RESULTS.md.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.results import write_part

ROWS, QUEUE, TIMES = 100_000, 1_000, 20
USECASE = """
name = "many"
description = "Messages go to one of eight teams."
instruction = "Read the message and name the team."
[input.message]
[output]
kind = "label"
labels = ["a", "b", "c", "d", "e", "f", "g", "h"]
[bar]
metric = "classification"
at_least = 0.8
smallest_difference = 0.05
"""


def write(folder: Path) -> None:
    """Rows of about 300 characters of invented words, and a queue to label."""
    draw = random.Random(1)
    words = ["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3)) for _ in range(5_000)]
    (folder / "data").mkdir(parents=True)
    (folder / "usecase.toml").write_text(USECASE, "utf-8")
    with (folder / "data" / "examples.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(ROWS):
            text = " ".join(draw.choices(words, k=43))
            file.write(json.dumps({"input": {"message": text}, "expected": draw.choice("abcdefgh")}) + "\n")
    with (folder / "data" / "to_label.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(QUEUE):
            file.write(json.dumps({"input": {"message": " ".join(draw.choices(words, k=43))}}) + "\n")


def timed(act: Callable[[], object], times: int = TIMES) -> tuple[float, float]:
    """(median, slowest) in milliseconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        found.append(1000 * (time.perf_counter() - began))
    return statistics.median(found), max(found)


def memory(pid: int) -> float:
    """Resident megabytes of a process now."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as there, socket.socket() as free:
        folder = Path(there) / "many"
        write(folder)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        began = time.perf_counter()
        command = [sys.executable, "-m", "tuneworthy", "workbench", str(folder), "--port", str(port)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                write_part("workbench", "\n".join(measured(process, began, f"http://127.0.0.1:{port}")))
            finally:
                process.kill()


def measured(process: subprocess.Popen[str], began: float, home: str) -> list[str]:
    """The lines of the table."""
    assert process.stderr is not None
    link = process.stderr.readline().split()[0]
    client = httpx.Client(base_url=home, headers={"origin": home}, follow_redirects=True, trust_env=False, timeout=120)
    while True:
        try:
            opened = time.perf_counter()
            assert client.get(link.removeprefix(home)).status_code == 200
            break
        except httpx.ConnectError:
            time.sleep(0.01)
    start, first_page = time.perf_counter() - began, 1000 * (time.perf_counter() - opened)
    light = memory(process.pid)
    index_began = time.perf_counter()
    page = client.get("/rows").text
    index = time.perf_counter() - index_began
    assert f"of {ROWS:,}".replace(",", "\u202f") in page
    rows = [
        ("the first page, once the server is up", first_page, first_page, 300),
        ("a page of rows", *timed(lambda: client.get("/rows", params={"page": "1000"})), 200),
        ("a search for two words", *timed(lambda: client.get("/rows", params={"q": "ba du"})), 200),
        ("a search that finds nothing", *timed(lambda: client.get("/rows", params={"q": "qqq"})), 200),
        ("a filter by output", *timed(lambda: client.get("/rows", params={"label": "c"})), 200),
        ("a label put on the disk, and the next row of 1,000", *timed(labels(client), 200), 50),
    ]
    lines = ["## Workbench, 100,000 rows of 300 characters", ""]
    lines += ["| action | median, ms | slowest, ms | target, ms |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {median:.0f} | {worst:.0f} | {target}{': met' if median <= target else ': missed'} |"
        for name, median, worst, target in rows
    ]
    most = memory(process.pid)
    lines += [
        "",
        f"From the command to the first page {start:.1f} s. The rows are read when they are first asked for, in "
        f"{index:.1f} s. Memory {light:.0f} MB before, {most:.0f} MB after (target 500: "
        f"{'met' if most <= 500 else 'missed'}).",
    ]
    return lines


def labels(client: httpx.Client) -> Callable[[], object]:
    """Labels the row that is shown, and gets the next one."""
    page = client.get("/label").text
    form = page.split('name="form" value="')[1].split('"')[0]
    state = {"row": page.split('name="row" value="')[1].split('"')[0]}

    def put() -> None:
        answer = client.post(
            "/label", data={"form": form, "row": state["row"], "expected": "a"}, headers={"x-piece": "1"}
        )
        following = answer.text.split('name="row" value="')[1].split('"')[0]
        assert answer.status_code == 200
        assert following != state["row"]
        state["row"] = following

    return put


if __name__ == "__main__":
    main()
