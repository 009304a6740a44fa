"""Measures what the writing loop itself costs a token, beside the model: with a model and draws that cost nothing.

    python benchmarks/bookkeeping.py [--rows 320 1920] [--new 128] [--rounds 5] [--other CHECKOUT]

Each row gets the tokens of lines of raysweep's own functions, from a place of its own; the tokenizer has 4,096 tokens.
The lines are indented, so that none of the five stop strings ends a row. Counted are appended tokens, ends, budgets,
stop strings, the steps of draws, and the mask, which lies on the CPU here and on the accelerator else.

Printed: CPU ms a token of all rows, the median of the rounds, without stop strings and with five; with `--other` those
of another checkout too, in a process of its own in each round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from raysweep.generators import transformers
from raysweep.generators.caches.base import Read
from raysweep.generators.rows import Tokens
from raysweep.models.scratch import train_tokenizer
from raysweep.records import Decoding, GenerationRequest

HERE = Path(__file__).resolve()
STOPS: dict[str, tuple[str, ...]] = {"none": (), "five": ("\nclass", "\ndef", "\n#", "\nif", "\nprint")}


def main() -> None:
    """Run the arms in turns and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[320, 1920])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--other", type=Path, help="root of another checkout")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(costs(options)))
        return
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name, root in {"raysweep": HERE.parents[1], "other": options.other}.items():
            if root:
                found.setdefault(name, []).append(of_checkout(root, options))
    print(json.dumps({name: medians(rounds) for name, rounds in found.items()}, indent=2))


def of_checkout(root: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return the costs in a checkout, in a process of its own."""
    command = [sys.executable, str(HERE), "--one", "--new", str(options.new), "--rows", *map(str, options.rows)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, check=True)
    costs: dict[str, float] = json.loads(done.stdout)
    return costs


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each arm."""
    return {arm: round(statistics.median(one[arm] for one in rounds), 3) for arm in rounds[0]}


def costs(options: argparse.Namespace) -> dict[str, float]:
    """Return the CPU ms a token of each arm. The first run learns what tokens say, and isn't counted."""
    texts = [path.read_text() for path in sorted((HERE.parents[1] / "raysweep" / "generators").rglob("*.py"))]
    tokenizer = train_tokenizer(texts, 4096)
    lines = [line for text in texts for line in text.splitlines() if line.startswith("    ")]
    code = torch.tensor(tokenizer("\n".join(lines))["input_ids"])
    decoding, found = Decoding(options.new, 0.2, 0.95), {}
    vars(transformers)["choose_tokens"] = lambda logits, temperature, top_p, seeds: seeds
    for rows in options.rows:
        for name, stop in STOPS.items():
            tokens = Tokens(tokenizer, None, options.new)
            loop: Any = transformers.Loop(Nothing(), Copied(decoding, code), 10**9, tokens.stops)  # type: ignore[arg-type]
            for is_counted in (False, True):
                requests = [GenerationRequest(str(n), f"t{n // 40}", "x", n % 40, stop) for n in range(rows)]
                written = [tokens.row(request) for request in requests]
                began = time.process_time()
                loop.write(written)
                taken = time.process_time() - began
                assert all(len(row.written) == options.new for row in written)
                if is_counted:
                    found[f"{rows} rows, stop strings: {name}"] = 1000 * taken / options.new
    return found


class Nothing:
    """A way of calling a model that costs nothing, and its cache."""

    switches_after = last_position = None
    joins, forgets, device = True, False, torch.device("cpu")

    def ready(self) -> Any:
        return contextlib.nullcontext()

    def read(self, prompts: Any, variants: Any = None) -> Read:
        return Read(self, torch.ones(len(prompts), 1, dtype=torch.long), torch.zeros(len(prompts), 1))  # type: ignore[arg-type]

    def step(self, cache: Any, latest: Any) -> torch.Tensor:
        return torch.zeros(len(latest.tokens), 1)

    def chosen(self, rows: Any, start: int = 0) -> Nothing:
        return self

    joined = chosen


class Copied(transformers.Draws):
    """Draws as usual, and then gives each row the next token of some code; all rows begin together."""

    def __init__(self, decoding: Decoding, code: torch.Tensor) -> None:
        super().__init__(decoding)
        self._code, self._step = code, 0

    def begin(self, rows: Any, device: Any) -> torch.Tensor | None:
        """Each row's place is random."""
        chance, self._step = random.Random(0), 0
        self._places = torch.tensor([chance.randrange(len(self._code)) for _ in rows])
        return torch.randint(2**32, (len(rows), self._decoding.max_new_tokens))

    def choose(self, *given: Any) -> torch.Tensor:
        """`given`: one argument more since raysweep keeps written tokens in arrays."""
        super().choose(*given)
        self._step += 1
        return self._code[(self._places + self._step) % len(self._code)]


if __name__ == "__main__":
    main()
