"""The registered generators that need no server, held to the contract of generators."""

from __future__ import annotations

import pytest

from raysweep.generators.base import GENERATORS
from raysweep.generators.fake import Fake
from raysweep.generators.reference import Reference
from raysweep.generators.transformers import Transformers
from raysweep.testing.generators import GeneratorContract


class TestReference(GeneratorContract):
    make = Reference

    test_it_cuts_at_the_first_stop_string = None  # it writes solutions whole: stop strings stand in published ones


class TestFake(GeneratorContract):
    make = Fake

    test_it_cuts_at_the_first_stop_string = None  # it writes solutions as `reference` does


@pytest.mark.slow
class TestTransformers(GeneratorContract):
    make = Transformers


def test_only_generators_that_ask_a_server_or_have_an_environment_are_missing():
    assert set(GENERATORS.names()) - {"reference", "fake", "transformers"} == {"openai", "vllm"}
