"""The sections of a run: its failed cells."""

from raysweep.analysis.sections.run import FailuresSection
from raysweep.analysis.tables.frame import Failure
from tests.analysis.examples import report


def test_failed_cells_have_a_table_with_each_error_once():
    failures = [Failure("llama", "full", name, 42, error) for name, error in (("C1", "a"), ("C2", "b"), ("C3", "a"))]
    content = FailuresSection().draw(report(failures=failures))
    assert content is not None
    rows = content.tables[0].rows
    assert [(row.labels[0], row.cells[0].text) for row in rows] == [
        ("llama · full · C1 · seed 42; llama · full · C3 · seed 42", "a"),
        ("llama · full · C2 · seed 42", "b"),
    ]
