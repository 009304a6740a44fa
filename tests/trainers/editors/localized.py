"""What tests of localization share: tiny models of four blocks, prompts, judges, the paper's patch to the letter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from raysweep.generators.base import LiveModel
from raysweep.generators.caches.base import Read, Way, left_pad
from raysweep.generators.caches.kv_cache import WithKeysAndValues
from raysweep.generators.patches import RowVariant
from raysweep.models.families.base import FAMILIES
from raysweep.models.families.blocks import blocks_of, embedding_of, states_of, with_states
from raysweep.models.loading import auto_model
from raysweep.records import PromptPair, Spec
from raysweep.trainers.editors.base import EditJob
from raysweep.trainers.loop import seeded_torch
from tests.models.tiny import is_same, state_of
from tests.tiny import SIZES, tiny_tokenizer

BLOCKS = 4
LAYERS = {"llama": "num_hidden_layers", "qwen2": "num_hidden_layers", "gpt_bigcode": "n_layer", "codegen": "n_layer"}
ORIGINAL = 'def f(xs):\n    """Return the numbers of the list that are above `3`.\n    """\n'
EQUAL = ORIGINAL.replace("`3`", "`7`")
"""A perturbed prompt with as many tokens."""
LONGER, SHORTER = ORIGINAL.replace("numbers", "nummmbers"), ORIGINAL.replace("the numbers of ", "numbers of ")


def live_model(family: str, **fields: int) -> LiveModel:
    """Return a model with random weights so strong that a text depends on every token. `fields`: of its config."""
    tokenizer = tiny_tokenizer()
    size = {**SIZES[family], LAYERS[family]: BLOCKS, "initializer_range": 0.4, **fields}
    config = FAMILIES.create(Spec(family)).tiny_config(len(tokenizer), tokenizer.eos_token_id, **size)
    with seeded_torch(0, family):
        return LiveModel(auto_model().from_config(config).eval(), tokenizer)


def job_of(family: str, live: LiveModel, original: str = ORIGINAL, perturbed: str = EQUAL, seed: int = 3) -> EditJob:
    pair = PromptPair("tiny", "C1", "tiny/0", original, perturbed, "", "", ("\ndef",), True, 1.0, 0.0, 1)
    return EditJob(live, family, pair, seed)


class Judge:
    """Judges completions by their texts, and keeps what it was asked.

    `own`: the verdicts on the samples without a patch, the original prompt's first; empty: by their texts too.
    """

    def __init__(self, is_right: Callable[[str], bool], own: Sequence[bool] = ()) -> None:
        self._is_right, self._own = is_right, list(own)
        self.asked: list[list[str]] = []

    def passes(self, completions: Sequence[str], task_id: str = "") -> list[bool]:
        self.asked.append(list(completions))
        if len(self.asked) == 1 and self._own:
            return self._own
        return [self._is_right(text) for text in completions]

    def alive(self) -> None:
        pass


def modules_of(family: str, network: Any) -> dict[int, Any]:
    """Return the embeddings, -1, and the blocks of a network."""
    return {-1: embedding_of(network, family), **dict(enumerate(blocks_of(network, family)))}


def ids_of(live: LiveModel, text: str) -> list[int]:
    ids: list[int] = live.tokenizer(text)["input_ids"]
    return ids


@contextlib.contextmanager
def reading(live: LiveModel) -> Iterator[Way]:
    """Give the way in which the generator calls a model, ready to be called."""
    way = WithKeysAndValues(live.network)
    with way.ready(), torch.inference_mode():
        yield way


def read(live: LiveModel, texts: Sequence[Sequence[int]], variants: Sequence[RowVariant | None] | None = None) -> Read:
    with reading(live) as way:
        return way.read(texts, variants)


def hooks_on(network: Any) -> int:
    """Return the number of hooks; transformers 5 leaves some of its own once hidden states were asked for."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


@contextlib.contextmanager
def left_as_it_was(network: Any) -> Iterator[None]:
    """Check that what is done leaves no hook on a network and changes none of its tensors, nor its mode."""
    hooks, before = hooks_on(network), state_of(network)
    yield
    assert hooks_on(network) == hooks and is_same(state_of(network), before) and not network.training


def as_in_the_paper(live: LiveModel, family: str, block: int, texts: Sequence[str], tokens: int, phase: str) -> str:
    """Return what the second text's row writes greedily where row 0 lends it a block's states.

    Both rows are written in one batch, padded on the left; a hook replaces h[1:, t] by h[0, t] at all shared positions,
    in the prefill, or in each call.
    """
    network = live.network
    rows = [ids_of(live, text) for text in texts]
    ids, mask = left_pad(rows)
    shared = min(map(len, rows))
    module = modules_of(family, network)[block]

    def replaced(_: Any, __: Any, output: Any) -> Any:
        states = states_of(output).clone()
        states[1:, -shared:] = states[0, -shared:]
        return with_states(output, states)

    written: list[torch.Tensor] = []
    past, step = None, ids
    with torch.inference_mode():
        for number in range(tokens):
            hook = module.register_forward_hook(replaced) if number == 0 or phase == "all" else None
            positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -step.shape[1] :]
            out = network(
                input_ids=step, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True
            )
            if hook:
                hook.remove()
            past, step = out.past_key_values, out.logits[:, -1:].argmax(dim=-1)
            written.append(step)
            mask = torch.cat([mask, torch.ones_like(step)], dim=-1)
    return str(live.tokenizer.decode([*rows[1], *torch.cat(written, dim=-1)[1].tolist()]))[len(texts[1]) :]


def planted(family: str, reads_while_writing: bool) -> LiveModel:
    """Return a trained model that answers 1 after `ORIGINAL`, and 2 after `EQUAL`, by what block 2 alone reads of them.

    All other blocks pass states on as they are, since their output projections are zero.

    Args:
        family: its architecture.
        reads_while_writing: whether it looks at the prompt for each token that it writes, or for the first one only.
    """
    live = live_model(family)
    network = live.network
    outputs = ("o_proj", "down_proj", "c_proj", "out_proj", "fc_out")
    trained = []
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            path = name.split(".")
            numbers = [int(part) for part in path if part.isdigit()]
            parameter.mul_(0.02 / 0.4 if parameter.dim() > 1 else 1.0)
            if numbers and numbers[0] != 2:
                parameter.requires_grad_(False)
                if path[-2] in outputs:
                    parameter.zero_()
            else:
                trained.append(parameter)
    one, two = ids_of(live, "1")[0], ids_of(live, "2")[0]
    rows, wanted = [], []
    for text, answer in ((ORIGINAL, one), (EQUAL, two)):
        prompt = ids_of(live, text)
        for prefix in ([], [one], [two], [one, one], [two, two], [one, two], [two, one]):
            rows.append([*prompt, *prefix])
            wanted.append(answer if reads_while_writing or not prefix else prefix[0])
    ids, mask = left_pad(rows)
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    optimizer = torch.optim.Adam(trained, 3e-3)
    prompts = [number for number, row in enumerate(rows) if row in (ids_of(live, ORIGINAL), ids_of(live, EQUAL))]
    for _ in range(400):  # some 100 are needed
        logits = network(input_ids=ids, attention_mask=mask, position_ids=positions).logits[:, -1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(wanted), reduction="none")
        optimizer.zero_grad()
        (losses.mean() + losses[prompts].mean()).backward()  # the prompts alone are hard, and two rows of fourteen
        optimizer.step()
        if losses.max() < 0.05:
            break
    assert losses.max() < 0.1  # the mean would be low where the two prompts aren't told apart, too
    network.requires_grad_(False)
    return live
