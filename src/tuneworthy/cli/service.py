"""What follows the verdict: releases, the gateway, the way back, and the watch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli.shell import Folder, Json, app, read_share, release_app


@release_app.command("build")
def release_build(
    folder: Folder = Path(),
    arm: Annotated[str, typer.Option(help="Arm of the last run.", show_default="what the verdict names")] = "",
    override: Annotated[
        str, typer.Option(help="Release against the verdict, for this written reason.", show_default=False)
    ] = "",
    sign: Annotated[Path | None, typer.Option(help="Private key (PEM) to sign with.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Package what the last run measured: weights, prompt, documents, scores, fingerprint. Exit 3 when refused."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.released(service.release(folder, arm, override=override, key=sign), folder, as_json=json)


@release_app.command("list")
def release_list(folder: Folder = Path(), json: Json = False) -> None:
    """All releases, and where each is live."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.listed(service.releases(folder), service.history(folder), folder, as_json=json)


@release_app.command("verify")
def release_verify(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    key: Annotated[Path | None, typer.Option(help="Public key (PEM) of who signed it.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Hold every file of a release, and of its base model, against the manifest. Exit 3 when anything differs."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    raise typer.Exit(
        printing.verified(*service.verify_release(folder, name, key=key), signed=key is not None, as_json=json)
    )


@release_app.command("reproduce")
def release_reproduce(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Train again from the recorded versions, and compare the weights. Exit 3 when they differ."""
    from tuneworthy import service
    from tuneworthy.printing import board
    from tuneworthy.printing import service as printing

    with board.live(as_json=json) as listener:
        found = service.reproduce(folder, name, listener)
    raise typer.Exit(printing.reproduced(found, as_json=json))


@release_app.command("export")
def release_export(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    form: Annotated[str, typer.Option("--as", help="merged, gguf or ollama.")] = "merged",
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default=".tuneworthy/exports")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Write it for other engines, and ask it the suite: exit 3 when answers differ, 4 when that was not measured."""
    from tuneworthy import service
    from tuneworthy.printing import exports

    raise typer.Exit(exports.exported(*service.export(folder, name, form, out=out), as_json=json))


@release_app.command("deploy")
def release_deploy(
    folder: Folder = Path(),
    name: Annotated[str, typer.Option("--release", help="Name or part of it.", show_default="the newest")] = "",
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    canary: Annotated[
        str, typer.Option(help="Beside what is live, for this share of the clients, e.g. 10%.", show_default=False)
    ] = "",
    shadow: Annotated[
        str, typer.Option(help="Beside what is live, on copies of this share of the requests.", show_default=False)
    ] = "",
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Ask for a release under an alias: the gateway takes it through the gate first."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    if canary and shadow:
        raise typer.BadParameter("first --shadow, then --canary")
    mode = "canary" if canary else "shadow" if shadow else "all"
    share = read_share(canary or shadow) if canary or shadow else 1.0
    found = service.deploy(folder, name, alias=alias, why=why, mode=mode, share=share)  # type: ignore[arg-type]
    printing.entry(found, folder, as_json=json)


@release_app.command("replay")
def release_replay(
    file: Annotated[
        Path | None,
        typer.Argument(help="Traces, or examples in any format that is read.", show_default="inputs of the suite"),
    ] = None,
    name: Annotated[str, typer.Option("--release", help="The challenger.", show_default="the newest")] = "",
    against: Annotated[str, typer.Option(help="The other release.", show_default="the live champion")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Stored requests through two releases: agreement, form, length, time; scores where a person judged them."""
    from tuneworthy import service
    from tuneworthy.printing import traffic as printing

    printing.replayed(service.replay(folder, file, name=name, against=against), folder, as_json=json)


@release_app.command("traffic")
def release_traffic(folder: Folder = Path(), json: Json = False) -> None:
    """Challenger beside champion on live traffic: agreement, failures, quality, and the days until a decision."""
    from tuneworthy import service
    from tuneworthy.printing import traffic as printing

    printing.traffic(service.traffic(folder), folder, as_json=json)


@release_app.command("log")
def release_log(
    folder: Folder = Path(),
    at: Annotated[str, typer.Option(help="What was live at this time (ISO 8601, UTC).", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Which release was asked for, live, refused or taken back, when, why and by whom."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.history(service.history(folder), at, as_json=json)


@app.command()
def serve(
    folder: Folder = Path(),
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8321,
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; the next one gets 429.")] = 256,
    per_minute: Annotated[int, typer.Option(min=0, help="Requests of one key; 0 = no limit.")] = 0,
    at_once: Annotated[int, typer.Option(min=0, help="Requests of one key under way; 0 = no limit.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time until an answer.")] = 60,
    admin_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Metrics and health on 127.0.0.1 at this port, not at clients'.")
    ] = 0,
    heartbeat: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks at whether what is live behaves as recorded.")
    ] = 60,
    engine: Annotated[str, typer.Option(help="in_process, vllm, llama_cpp or openai_compatible.")] = "in_process",
    engine_url: Annotated[
        str, typer.Option(help="Attach to one that runs, e.g. http://127.0.0.1:8000/v1.", show_default="started here")
    ] = "",
    engine_model: Annotated[str, typer.Option(help="What the engine calls the base model.", show_default=False)] = "",
    gguf: Annotated[Path | None, typer.Option(help="llama_cpp: the file to serve.")] = None,
    traces: Annotated[
        bool, typer.Option("--traces/--no-traces", help="Note each answer for `watch`: sizes and classes, no content.")
    ] = True,
    trace_content: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of answers whose content is kept too, redacted.")
    ] = 0.0,
    trace_days: Annotated[
        int, typer.Option(min=1, help="Traces and feedback are removed after so many days; drift needs 16 or more.")
    ] = 30,
    new_key: Annotated[str, typer.Option(help="Make a key of this name, show it, and stop.", show_default=False)] = "",
    for_alias: Annotated[list[str] | None, typer.Option(help="With --new-key: only these aliases.")] = None,
    drop_key: Annotated[str, typer.Option(help="Make a key worthless, and stop.", show_default=False)] = "",
) -> None:
    """Answer with what is deployed, as an OpenAI-compatible endpoint. Nothing is routed past the gate."""
    from tuneworthy import service
    from tuneworthy.serving.engines import EngineChoice
    from tuneworthy.serving.gateway import Limits
    from tuneworthy.watch.traces import Keeping

    if new_key:
        sys.stdout.write(service.new_key(folder, new_key, for_alias or []) + "\n")
        sys.stderr.write("Keep it: only its hash is stored. Clients send it as their API key.\n")
        return
    if drop_key:
        service.take_back_key(folder, drop_key)
        return
    sys.stderr.write(f"http://{host}:{port}/v1 (stop with Ctrl-C)\n")
    limits = Limits(waiting=waiting, seconds=seconds, per_minute=per_minute, at_once=at_once)
    keeping = Keeping(traces, trace_content, trace_days)
    tell = lambda text: print(text, file=sys.stderr)  # noqa: E731
    choice = EngineChoice(engine, engine_url, engine_model, gguf, seconds)
    service.serve(
        folder,
        host=host,
        port=port,
        limits=limits,
        keeping=keeping,
        tell=tell,
        engine=choice,
        heartbeat=heartbeat,
        admin_port=admin_port,
    )


@app.command()
def rollback(
    folder: Folder = Path(),
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    drill: Annotated[
        bool, typer.Option("--drill", help="Put a bad copy where no client can ask it, and time until it is out.")
    ] = False,
    patience: Annotated[float, typer.Option(min=1, help="With --drill: seconds to wait for each step.")] = 180,
    json: Json = False,
) -> None:
    """Take back what was deployed last: the challenger, or else what is live. Takes less than a second."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing
    from tuneworthy.printing import traffic

    if drill:
        found = service.drill(folder, alias=alias, patience=patience, tell=lambda text: print(text, file=sys.stderr))
        raise typer.Exit(traffic.drilled(found, as_json=json))
    printing.entry(service.rollback(folder, alias=alias, why=why), folder, as_json=json)


@app.command()
def watch(
    folder: Folder = Path(),
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    days: Annotated[int, typer.Option(min=1, help="How many days back to look at.")] = 30,
    suite: Annotated[bool, typer.Option("--suite", help="Ask a part of the suite again, through the gateway.")] = False,
    url: Annotated[str, typer.Option(help="With --suite: where the gateway is.")] = "http://127.0.0.1:8321",
    key_env: Annotated[
        str, typer.Option(help="With --suite: environment variable that holds the key.", show_default=False)
    ] = "",
    again: Annotated[
        bool, typer.Option("--redecide", help="Base model or prices changed: does it still earn its place?")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page as well.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """What is live, watched: volume, cost, drift, feedback, stale facts. Exit 3 on an alarm."""
    from tuneworthy import watching
    from tuneworthy.printing import watch as printing

    if again:
        from tuneworthy.printing import board

        with board.live(as_json=json) as listener:
            decision = watching.redecide(folder, listener, alias=alias)
        raise typer.Exit(printing.redecided(decision, folder, as_json=json))
    if suite:
        key = os.environ.get(key_env, "") if key_env else ""
        line = watching.reevaluate(folder, alias=alias, url=url, key=key)
        raise typer.Exit(printing.reevaluated(line, as_json=json))
    found = watching.watch(folder, alias=alias, days=days)
    if out is not None:
        printing.page(found, folder, out)
    raise typer.Exit(printing.report(found, folder, as_json=json))
