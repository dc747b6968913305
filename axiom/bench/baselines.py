"""What a user would write without axiom: `vllm.LLM` and `model.generate` as they come, each in a process of its own.

python -m axiom.bench.baselines vllm|generate < workload.json      prints {"start": s, "runs": [[tokens, s], ...]}
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

REPEATS = 2


def plain_vllm(work: dict[str, Any]) -> Callable[[], int]:
    """`vllm.LLM` with its defaults, all requests in one call."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    llm = LLM(model=work["model"], max_model_len=2048, **work.get("arguments", {}))
    prompts = [TokensPrompt(prompt_token_ids=row["ids"]) for row in work["requests"]]
    settings = [
        SamplingParams(n=row["n"], temperature=row["temperature"], max_tokens=row["max_tokens"])
        for row in work["requests"]
    ]

    def run() -> int:
        outputs = llm.generate(prompts, settings, use_tqdm=False)
        return sum(len(answer.token_ids) for output in outputs for answer in output.outputs)

    return run


def plain_generate(work: dict[str, Any], batch: int = 32) -> Callable[[], int]:
    """`model.generate` on left-padded batches of 32, bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(work["model"], dtype=torch.bfloat16)
    model.to(device)
    tokenizer = AutoTokenizer.from_pretrained(work["model"], padding_side="left")
    rows = [row for row in work["requests"] for _ in range(row["n"])]

    def run() -> int:
        total = 0
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            padded = tokenizer.pad({"input_ids": [row["ids"] for row in part]}, return_tensors="pt").to(device)
            out = model.generate(
                **padded,
                do_sample=part[0]["temperature"] > 0,
                temperature=part[0]["temperature"] or None,
                top_k=0,
                max_new_tokens=part[0]["max_tokens"],
            )
            answers = out[:, padded["input_ids"].shape[1] :]
            total += int((answers != tokenizer.pad_token_id).sum())
        return total

    return run


def main() -> None:
    """Run one baseline on the workload from standard input."""
    work = json.load(sys.stdin)
    began = time.perf_counter()
    run = {"vllm": plain_vllm, "generate": plain_generate}[sys.argv[1]](work)
    started = time.perf_counter() - began
    runs = []
    for _ in range(work.get("repeats", REPEATS)):
        began = time.perf_counter()
        tokens = run()
        runs.append([tokens, time.perf_counter() - began])
    print(json.dumps({"start": started, "runs": runs}))


if __name__ == "__main__":
    main()
