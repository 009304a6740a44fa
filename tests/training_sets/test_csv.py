"""Training rows from a CSV file."""

import pytest

from raysweep.errors import UsageError
from raysweep.training_sets.csv import CsvSource

TEXT = """\
instruction,output,input,language,worse,task_id
"Add a, b.","```python
a + b
```",007,,,
Say NA.,NA,,sql,1e5,12
"""


def source(tmp_path, text, **args):
    path = tmp_path / "rows.csv"
    path.write_text(text, newline="")
    return CsvSource(str(path), **args)


def test_columns_are_the_fields_of_a_row_and_an_empty_cell_is_no_rejected_response(tmp_path):
    rows = list(source(tmp_path, TEXT, rejected_field="worse").rows())
    assert [(row.instruction, row.output, row.input, row.language) for row in rows] == [
        ("Add a, b.", "```python\na + b\n```", "007", "python"),
        ("Say NA.", "NA", "", "sql"),
    ]
    assert [(row.row_id, row.task_id, row.rejected) for row in rows] == [
        ("0000000", "", None),
        ("0000001", "12", "1e5"),
    ]
    assert [row.output for row in source(tmp_path, "prompt,completion\n1,2\n").rows()] == ["2"]


def test_check_names_file_line_and_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match=r"rows.csv:2: `output` is empty, the first of 1 such"):
        source(tmp_path, "instruction,output\na,\n").check()


def test_a_field_of_rejected_responses_that_is_no_column_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"rejected response in `wors` \(did you mean 'worse'\?\)"):
        source(tmp_path, TEXT, rejected_field="wors").check()
