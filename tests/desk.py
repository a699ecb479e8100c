"""Rows to label, and a visitor of the workbench, asked in process."""

from __future__ import annotations

import json

from starlette.testclient import TestClient

from tuneworthy.project import Project
from tuneworthy.workbench.app import Workbench

PORT = 8322
HOSTILE = (
    '<script>document.title="taken"</script><img src=x onerror=alert(1)> '
    '\u202egnp.exe \U0001f468\u200d\U0001f469\u200d\U0001f467 {"a":'
)


def queue(project: Project, rows: int = 40) -> None:
    """Rows to label; the first one is hostile."""
    texts = [HOSTILE] + [f"the pipe of house {number} leaks" for number in range(1, rows)]
    lines = [json.dumps({"input": {"message": text}, "why": "drawn at random"}) for text in texts]
    project.to_label_file.parent.mkdir(parents=True, exist_ok=True)
    project.to_label_file.write_text("\n".join(lines) + "\n", "utf-8")


def visitor(bench: Workbench, name: str = "ann") -> TestClient:
    """A browser that came in through a link, under a name."""
    client = TestClient(
        bench.app(), base_url=f"http://127.0.0.1:{PORT}", headers={"origin": f"http://127.0.0.1:{PORT}"}
    )
    assert client.get(bench.link().split(str(PORT))[1]).status_code == 200
    client.cookies.set("tuneworthy-name", name)
    return client


def token(client: TestClient) -> str:
    """What forms that went to this browser carry."""
    return client.get("/label").text.split('name="form" value="')[1].split('"')[0]
