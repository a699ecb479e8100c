"""Writes the Inspect logs with inspect-ai and its mock model; no network."""

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Target, accuracy, exact, scorer, stderr
from inspect_ai.solver import Generate, TaskState, solver

LABELS = ["billing", "shipping", "returns"]
SAMPLES = [
    Sample(id=f"mail-{n:02d}", input=f"Mail {n}: my question is about {LABELS[n % 3]}.", target=LABELS[n % 3])
    for n in range(12)
]


@solver
def breaks(ids: list[str]):
    """The channel fails on some samples."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.sample_id in ids:
            raise RuntimeError("connection reset by the endpoint")
        return await generate(state)

    return solve


@scorer(metrics=[accuracy(), stderr()])
def polite():
    """A judge that cannot judge one answer."""

    async def score(state: TaskState, target: Target) -> Score:
        if state.sample_id == "mail-04":
            return Score.unscored(explanation="the judge gave no grade")
        return Score(value=1.0 if state.output.completion.islower() else 0.0)

    return score


def answers(right: int):
    """The right label on the first `right` mails, a refusal to choose on the others."""
    texts = {s.input: s.target if n < right else "None of them" for n, s in enumerate(SAMPLES)}

    def answer(messages, tools, tool_choice, config) -> ModelOutput:
        output = ModelOutput.from_content("mockllm/model", texts[messages[-1].text])
        output.usage = ModelUsage(input_tokens=10, output_tokens=2, total_tokens=12)
        return output

    return answer


def run(name: str, right: int, broken: list[str], epochs: int = 1) -> None:
    config = GenerateConfig(max_connections=1, temperature=0.0)
    triage = Task(
        name="triage",
        dataset=MemoryDataset(SAMPLES, name="mails"),
        solver=breaks(broken),
        scorer=[exact(), polite()],
        fail_on_error=False,
        epochs=epochs,
    )
    model = get_model("mockllm/model", custom_outputs=answers(right), config=config)
    eval(triage, model=model, log_dir=f"out/{name}", log_format="json", max_samples=1, display="none")


run("prompt", 5, [])
run("tuned", 10, ["mail-00"])
run("epochs", 6, [], epochs=2)
