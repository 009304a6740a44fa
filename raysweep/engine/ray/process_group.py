"""Joins the workers of a training into torch's process group.

Ray's own `TorchTrainer` imports torch wherever it is named: in the trial and in Train's controller too, which compute
nothing. Here only the workers import it, which spares each training two such starts of a process
(benchmarks/history/2026-11.md, "Processes of a cell").
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from typing import Any

log = logging.getLogger("raysweep")


def torch_group() -> Any:
    """Return Ray Train's settings of a process group whose backend the workers decide.

    NCCL exchanges what lies on GPUs. Where workers have none, such as on a simulated cluster, whose GPUs are only
    counted, gloo does all of it.
    """
    from ray.train.backend import Backend, BackendConfig
    from ray.train.v2._internal.util import TrainingFramework

    class TorchBackend(Backend):  # type: ignore[misc]
        share_cuda_visible_devices = True  # NCCL exchanges within a node through memory that all of its workers see

        def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
            """Have all workers join. This runs in the training's controller, which has no torch."""
            import ray
            from ray.train._internal.utils import get_address_and_port

            backend = "cpu:gloo,cuda:nccl" if all(worker_group.execute(_has_gpu)) else "gloo"
            place, size = worker_group.execute_single(0, get_address_and_port), len(worker_group)
            ray.get([worker_group.execute_single_async(n, _join, backend, *place, n, size) for n in range(size)])

        def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
            _end(worker_group)

    class TorchGroup(BackendConfig):  # type: ignore[misc]
        backend_cls = TorchBackend
        train_func_context = property(lambda self: _on_own_gpu)
        framework = TrainingFramework.TORCH  # what Ray's dashboard calls the training

    return TorchGroup()


def _end(worker_group: Any) -> None:
    import ray
    from ray._private.ray_constants import env_integer
    from ray.exceptions import GetTimeoutError
    from ray.train.constants import DEFAULT_TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S as DEFAULT
    from ray.train.constants import TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S as VARIABLE

    seconds = env_integer(VARIABLE, DEFAULT)
    left = worker_group.execute_async(_leave, len(worker_group) > 1)
    try:
        ray.get(left, timeout=seconds)
    except GetTimeoutError:
        log.warning("the workers of a training did not leave their process group in %d s (%s)", seconds, VARIABLE)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _on_own_gpu() -> AbstractContextManager[Any]:
    from ray.train.torch.config import TorchConfigContextManager

    context: AbstractContextManager[Any] = TorchConfigContextManager()
    return context


def _join(backend: str, address: str, port: int, rank: int, size: int) -> None:
    from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group

    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address, str(port)
    _set_torch_distributed_env_vars()
    _setup_torch_process_group(backend, rank, size, "env://")


def _leave(is_group: bool) -> None:
    from ray.train.torch.config import _shutdown_torch

    _shutdown_torch(destroy_process_group=is_group)
