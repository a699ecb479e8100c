"""Drills, and a gateway that is killed at every write of its log."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gatewayed import ask, free_port, gateway, settled, wait
from released import released, scripted_project, tiny_project

from tuneworthy import service
from tuneworthy.errors import GateRefused
from tuneworthy.models.local.files import silent_peft
from tuneworthy.printing import traffic as printing
from tuneworthy.release import drill as release_drill
from tuneworthy.release import verify
from tuneworthy.serving import deployments


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    with silent_peft():
        yield


@pytest.mark.parametrize("trained", [False, True])
def test_a_drill_finds_the_bad_copy_both_ways_and_leaves_nothing(tmp_path, trained, capsys):
    project = (tiny_project if trained else scripted_project)(tmp_path / "small")
    release = released(project, trained=trained)
    service.deploy(project.folder, release.name, alias="champion", why="")
    with gateway(project, heartbeat=0.3) as (server, url):
        assert settled(project) == release.name
        found = service.drill(project.folder, alias="champion", patience=60, tell=lambda text: None)
        wait(lambda: "drill" not in server.gateway.routes)
        assert ask(url, "the pipe").json()["model"] == release.name
        assert ask(url, "the pipe", model="drill").status_code == 404
    assert found.passed, found
    assert found.damage == ("its trained weights set to zero" if trained else "its prompt replaced")
    assert "the trained weights act" in found.steps[0].why if trained else "prompt as recorded" in found.steps[0].why
    assert found.steps[1].why.startswith("heartbeat")
    log = deployments.read(project)
    assert {entry.drill for entry in log if entry.alias == "drill"} == {True}
    assert not any(entry.drill for entry in log if entry.alias == "champion")
    assert deployments.live(log) == {"champion": release.name}
    assert [path.name for path in project.releases.iterdir()] == [release.name]
    assert printing.drilled(found, as_json=False) == 0
    assert "out after" in capsys.readouterr().out


def test_the_hashes_of_a_bad_copy_agree_so_only_behaviour_tells(tmp_path):
    project = tiny_project(tmp_path / "small")
    bad, _ = release_drill.bad_copy(project, released(project, trained=True))
    assert verify.problems(bad, project.folder / "base") == []


def test_a_drill_needs_a_gateway_and_something_live(tmp_path):
    project = scripted_project(tmp_path / "small")
    release = released(project, trained=False)
    with pytest.raises(GateRefused, match="nothing is live"):
        service.drill(project.folder, alias="champion", patience=1, tell=print)
    deployments.write(project, "champion", "live", release.name, why="")
    with pytest.raises(GateRefused, match="no gateway"):
        service.drill(project.folder, alias="champion", patience=1, tell=print)
    with pytest.raises(GateRefused, match="for drills"):
        service.deploy(project.folder, release.name, alias="drill", why="")


def test_nothing_is_put_past_the_gate_where_clients_ask(tmp_path):
    project = scripted_project(tmp_path / "small")
    release = released(project, trained=False)
    deployments.write(project, "champion", "injected", release.name, why="somebody edits the log with our own code")
    with gateway(project) as (_, url):
        wait(lambda: deployments.read(project)[-1].action == "refused")
        assert ask(url, "the pipe").status_code == 503


def test_a_disk_that_is_full_does_not_keep_a_bad_release_in(tmp_path, monkeypatch):
    from tuneworthy.errors import StorageError

    project = scripted_project(tmp_path / "small")
    release = released(project, trained=False)
    service.deploy(project.folder, release.name, alias="champion", why="")
    with gateway(project, heartbeat=0.2) as (server, url):
        assert settled(project) == release.name
        with monkeypatch.context() as patch:
            patch.setattr(deployments.chain, "append", lambda *_: (_ for _ in ()).throw(StorageError("full")))
            server.gateway.lanes[release.name].answerer.model._reply = lambda request: "keys"
            wait(lambda: ask(url, "the pipe").status_code == 503)


# --- kill -9 at every write ---

KILLED = """
import os, sys
from pathlib import Path
from tuneworthy import chain, content
from tuneworthy.project import open_project
from tuneworthy.serving import deployments
from tuneworthy.serving.gateway import Limits
from tuneworthy.serving.server import Server

folder, port, die_at, torn = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "torn"
written, append = 0, chain.append_line

def counted(path, line):
    global written
    written += 1
    if written == die_at:
        if torn:
            with open(path, "ab") as file:
                file.write(line.encode()[: len(line) // 2])
        os.kill(os.getpid(), 9)
    append(path, line)

chain.append_line = counted
Server(open_project(folder), "127.0.0.1", port, print, Limits(), heartbeat=0.3).run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("torn", ["torn", "whole"])
def test_a_gateway_killed_at_any_write_goes_on_where_the_log_says(tmp_path, torn):
    """Real processes: champion, canary, a promotion and a canary that fails; killed before, or in the middle of, each
    line that the gateway writes, and started again. What is live is always what the log says, and it comes to rest."""
    source = scripted_project(tmp_path / "made")
    names = [released(source, trained=False).name for _ in range(3)]
    for die_at in range(1, 5):
        project = type(source)(tmp_path / f"{torn}-{die_at}")
        shutil.copytree(source.folder, project.folder)
        (project.releases / names[2] / "cases.jsonl").write_text("", "utf-8")  # this one is refused
        steps = [(names[0], "all", 1.0), (names[1], "canary", 0.5), (names[1], "all", 1.0), (names[2], "canary", 0.5)]
        process, died = None, False
        for name, mode, share in steps:
            service.deploy(project.folder, name, alias="champion", why="x", mode=mode, share=share)
            if process is None:
                process, port = _start(project.folder, die_at, torn)
            end = time.monotonic() + 60
            while not _answered(project, name, mode):
                assert time.monotonic() < end
                if process.poll() is not None:
                    assert process.returncode == -9
                    assert not died
                    died = True
                    process, port = _start(project.folder, 0, torn)
                time.sleep(0.05)
        try:
            assert died
            log = deployments.read(project)  # its chain holds
            assert deployments.live(log) == {"champion": names[1]}
            assert deployments.challengers(log) == {}
            wait(lambda port=port: _model(port) == names[1])
        finally:
            process.kill()
            process.wait()


def _start(folder, die_at, torn):
    port = free_port()
    command = [sys.executable, "-c", KILLED, str(folder), str(port), str(die_at), torn]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)), port


def _answered(project, name, mode):
    last = [entry for entry in deployments.read(project) if entry.release == name and entry.mode == mode]
    return bool(last) and last[-1].action in ("live", "refused")


def _model(port):
    try:
        return ask(f"http://127.0.0.1:{port}", "the pipe", user="somebody").json().get("model")
    except Exception:
        return None
