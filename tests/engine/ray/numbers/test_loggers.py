from __future__ import annotations

import pytest

from raysweep.config.fields import SpecConfig
from raysweep.engine.ray.numbers.loggers import make_loggers
from raysweep.errors import UsageError

pytestmark = pytest.mark.slow


def test_results_are_written_as_json_and_by_the_loggers_that_are_named():
    names = [type(logger).__name__ for logger in make_loggers([SpecConfig(name="tensorboard")])]
    assert names == ["JsonLoggerCallback", "TBXLoggerCallback"]


def test_an_argument_that_a_logger_lacks_is_told_with_those_it_takes():
    with pytest.raises(UsageError, match=r"`loggers`: 'tensorboard': .*'folder'; TBXLoggerCallback of Ray takes"):
        make_loggers([SpecConfig(name="tensorboard", folder="x")])
