"""Ask a running gateway with the official OpenAI client: `pip install openai`, then
`python examples/ask_gateway.py examples/ticket-triage [URL] [KEY]`. Asks three cases, whole and streamed."""

import json
import sys
from pathlib import Path

from openai import NotFoundError, OpenAI

folder, url, key = [*sys.argv[1:], *["examples/ticket-triage", "http://127.0.0.1:8321/v1", "none"][len(sys.argv) - 1 :]]
client = OpenAI(base_url=url, api_key=key)
print("models:", ", ".join(model.id for model in client.models.list()))

for line in (Path(folder) / "suite" / "cases.jsonl").read_text("utf-8").splitlines()[:3]:
    fields = json.loads(line)["input"]
    # One text field goes as plain text; several go as a JSON object.
    content = next(iter(fields.values())) if len(fields) == 1 else json.dumps(fields)
    question = [{"role": "user", "content": content}]
    print(f"\n> {content}")
    whole = client.chat.completions.create(model="champion", messages=question)
    print(whole.choices[0].message.content)
    print(f"  {whole.model}, {whole.usage.prompt_tokens} + {whole.usage.completion_tokens} tokens, {whole.id}")
    pieces = client.chat.completions.create(model="champion", messages=question, stream=True)
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    print("  streamed: the same" if streamed == whole.choices[0].message.content else f"  streamed: {streamed}")

try:
    client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "x"}])
except NotFoundError as error:
    print(f"\nnobody: {error.status_code} {error.body['message']}")
