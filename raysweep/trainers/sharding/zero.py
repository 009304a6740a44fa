"""DeepSpeed's ZeRO: workers hold shares of the optimizer (1), of the gradients too (2), of the weights too (3).

Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054. In 16-bit precisions DeepSpeed computes with 16-bit copies of
float32 weights. DeepSpeed is the extra `deepspeed`.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import HopelessError, UsageError, install_extra
from raysweep.trainers.base import Recipe
from raysweep.trainers.optimizer import make_optimizer
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch

TAG = "zero"
"""Folder of DeepSpeed's files in a checkpoint."""
WORKERS_FILE = "workers"
COMPILED_OP = "deepspeed_shm_comm"
"""An op for CPUs that DeepSpeed compiles when it starts (a minute). A process killed meanwhile leaves a lock for which
every later one waits for ever, so the op is switched off; gloo does its work."""
MUON = "deepspeed.runtime.zero.muon.muon_optimizer"
"""DeepSpeed imports this optimizer, which nothing here uses, and has torch compile its functions. To prepare that takes
a second in each worker."""


class Zero(Sharding):
    """Trains a model whose optimizer, and from stage 2 and 3 on gradients and weights, are shared among the workers.

    Args:
        model: the model, on its device, its trainable tensors in float32.
        recipe: precision, clipping and offload. `offload: optimizer` keeps the optimizer's state on the CPU.
        device: of this worker.
        world_size: number of workers; one works too, without a process group.
        stage: 1, 2 or 3.

    Raises:
        UsageError: DeepSpeed can't be imported.
    """

    def __init__(self, model: Any, recipe: Recipe, device: torch.device, world_size: int, stage: int) -> None:
        deepspeed = quiet_deepspeed()
        self.model, self._stage, self._world_size = model, stage, world_size
        self._put_back: Mapping[str, torch.Tensor] = {}
        join_alone(world_size)
        os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists
        self.engine, self.optimizer, _, _ = deepspeed.initialize(
            model=model,
            config=settings(recipe, stage),
            optimizer=make_optimizer(model, recipe),
            model_parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
            dist_init_required=False,
        )
        self.replica = self.engine

    @override
    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The model itself is in the precision of the computations."""
        return contextlib.nullcontext()

    @override
    def drop_gradients(self) -> None:
        """`step` leaves none behind."""

    @override
    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * self._world_size, scale_wrt_gas=False)  # DeepSpeed takes the mean over the workers

    @override
    def step(self, learning_rate: float) -> float | torch.Tensor | None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        skipped = self.engine.skipped_steps
        self.engine.step()
        norm: float | torch.Tensor = self.engine.get_global_grad_norm()
        return norm if self.engine.skipped_steps == skipped else None

    @override
    def write(self, folder: Path) -> None:
        """Frozen weights are left out."""
        (folder / TAG).mkdir(exist_ok=True)
        self.engine.save_checkpoint(str(folder), tag=TAG, save_latest=False, exclude_frozen_parameters=True)
        if self.engine.global_rank == 0:
            (folder / WORKERS_FILE).write_text(f"{self._world_size}\n")

    @override
    def read(self, folder: Path) -> None:
        workers = folder / WORKERS_FILE
        if not workers.exists() or int(workers.read_text()) != self._world_size:
            raise HopelessError(
                f"the checkpoint {folder} is of another training, not of {self._world_size} workers with "
                f"`parallel: zero{self._stage}`; remove the folder"
            )
        self.engine.load_checkpoint(str(folder), tag=TAG, load_module_strict=False)

    @override
    def trained(self) -> Mapping[str, torch.Tensor]:
        names = {name for name, weights in self.model.named_parameters(remove_duplicate=False) if weights.requires_grad}
        return self._gathered(names)

    @override
    def put_back(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._put_back = weights

    @override
    def weights(self) -> Mapping[str, torch.Tensor] | None:
        import torch

        names = {name for name, _ in self.model.named_parameters(remove_duplicate=False)}
        gathered = {**self._gathered(names), **self._put_back}
        if torch.distributed.get_rank() == 0:
            buffers = self.model.state_dict().keys() - gathered.keys()
            gathered |= {name: self.model.get_buffer(name).detach().cpu() for name in sorted(buffers)}
        return gathered

    def _gathered(self, names: Collection[str]) -> dict[str, torch.Tensor]:
        """Return parameters by name on rank 0. They are gathered one by one: a worker needs room for one at a time."""
        import deepspeed
        import torch
        from deepspeed.utils import safe_get_full_fp32_param

        is_first = torch.distributed.get_rank() == 0
        gathered: dict[str, torch.Tensor] = {}
        known: dict[int, torch.Tensor] = {}
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            if name not in names:
                continue
            if id(parameter) not in known:
                if parameter.requires_grad:
                    full = safe_get_full_fp32_param(parameter)
                    known[id(parameter)] = full.detach().cpu().clone() if is_first else full.new_empty(0)
                else:
                    with deepspeed.zero.GatheredParameters([parameter], enabled=self._stage == 3):
                        known[id(parameter)] = parameter.detach().cpu().clone() if is_first else parameter.new_empty(0)
            if is_first:
                gathered[name] = known[id(parameter)]
        return gathered


def settings(recipe: Recipe, stage: int) -> dict[str, Any]:
    """Return DeepSpeed's configuration of a recipe. The loop decides how many backward passes a step has."""
    offload = {"offload_optimizer": {"device": "cpu"}} if recipe.offload == "optimizer" else {}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.clip,
        "zero_optimization": {"stage": stage, **offload},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW needs no compiler
        "bf16": {"enabled": recipe.precision == "bf16"},
        "fp16": {"enabled": recipe.precision == "float16"},
        "steps_per_print": None,
    }


def quiet_deepspeed() -> Any:
    """Import DeepSpeed without messages and without compiling its op; raise UsageError if it isn't installed."""
    with _uncompiled():
        try:
            import deepspeed
            import deepspeed.ops
        except ImportError as error:
            raise UsageError(f"`parallel: zero...` needs DeepSpeed ({error}): {install_extra('deepspeed')}") from error
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        deepspeed.ops.__compatible_ops__ = {COMPILED_OP: False}  # before DeepSpeed probes compilers for all its ops
        with contextlib.suppress(ImportError):
            importlib.import_module(MUON)
    for message in ("`torch.distributed", "Positional args are being deprecated"):
        warnings.filterwarnings("ignore", message=message)
    return deepspeed


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:
    """Within this block, have torch.compile return functions as they are, also those of modules that are imported."""
    import torch

    def uncompiled(model: Any = None, **options: Any) -> Any:
        return model or (lambda plain: plain)

    compiled = torch.compile
    torch.compile = uncompiled
    try:
        yield
    finally:
        torch.compile = compiled


def join_alone(world_size: int) -> None:
    """Make a process group of this process alone if there is none; DeepSpeed asks for one even for one worker."""
    from torch import distributed
    from torch._C._distributed_c10d import HashStore

    if not distributed.is_initialized():
        assert world_size == 1, "several workers have a process group"
        distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
