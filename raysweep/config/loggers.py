"""The loggers of Ray Tune that a config can name. They run in the process of the command, not in the cells'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from raysweep.config.fields import DescribedCheck, SpecConfig
from raysweep.errors import UnknownName


@dataclass(frozen=True)
class TuneLogger:
    """Where Ray has a logger, and the package that it needs, by the names for importing and for pip.

    `secret`: an argument to set by an environment variable instead, since a config is kept with its sweep.
    """

    module: str
    callback: str
    package: str
    pip: str
    secret: str = ""


LOGGERS: Mapping[str, TuneLogger] = {
    "tensorboard": TuneLogger("ray.tune.logger", "TBXLoggerCallback", "tensorboardX", "tensorboardX"),
    "wandb": TuneLogger("ray.air.integrations.wandb", "WandbLoggerCallback", "wandb", "wandb", "api_key"),
    "mlflow": TuneLogger("ray.air.integrations.mlflow", "MLflowLoggerCallback", "mlflow", "mlflow", "tracking_token"),
    "aim": TuneLogger("ray.tune.logger.aim", "AimLoggerCallback", "aim", "aim"),
    "comet": TuneLogger("ray.air.integrations.comet", "CometLoggerCallback", "comet_ml", "comet-ml", "api_key"),
}


def _check(logger: SpecConfig) -> SpecConfig:
    if logger.name not in LOGGERS:
        raise ValueError(str(UnknownName("logger", logger.name, LOGGERS)))
    secret = LOGGERS[logger.name].secret
    if secret and secret in (logger.model_extra or {}):
        variable = f"{logger.name}_{secret}".upper()
        raise ValueError(f"{secret!r} would be kept with the sweep; set the environment variable {variable}")
    return logger


_NAMES = ", ".join(f"`{name}`" for name in LOGGERS)
LoggerSpec = Annotated[SpecConfig, DescribedCheck(_check, f"{_NAMES}, alone or in a mapping with arguments")]
