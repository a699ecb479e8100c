"""A small use case with rows to label, and a workbench over it: asked in process, or as a real server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from desk import PORT, queue
from small import OVERRIDDEN, USECASE, small_usecase
from tuneworthy.project import Project
from tuneworthy.workbench.app import Workbench


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = small_usecase(tmp_path / "small", usecase=USECASE + OVERRIDDEN)
    queue(found)
    return found


@pytest.fixture
def bench(project: Project) -> Workbench:
    return Workbench(project, PORT)


@pytest.fixture
def served(project: Project) -> Iterator[str]:
    """The link of a real server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tuneworthy", "workbench", str(project.folder), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().split()[0]
        finally:
            process.kill()
