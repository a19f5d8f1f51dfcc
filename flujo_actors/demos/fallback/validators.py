"""What must hold of a table that was read strictly. All that is wrong is said at once."""

from __future__ import annotations

from flujo_actors import ValidationResult
from flujo_actors.demos.fallback.tables import Table


def has_distinct_columns(table: Table) -> ValidationResult:
    """Whether each column has a name of its own."""
    blank = "a column has no name" if not all(name.strip() for name in table.columns) else ""
    repeated = sorted({name for name in table.columns if table.columns.count(name) > 1})
    twice = f"several columns are called {', '.join(repeated)}" if repeated else ""
    problems = "; ".join(filter(None, (blank, twice)))
    return ValidationResult(not problems, problems or None)


def has_even_rows(table: Table) -> ValidationResult:
    """Whether each row has as many values as there are columns."""
    width = len(table.columns)
    uneven = [(number, len(row)) for number, row in enumerate(table.rows, start=1) if len(row) != width]
    if not uneven:
        return ValidationResult(is_valid=True)
    number, values = uneven[0]
    more = f", and {len(uneven) - 1:,} more are uneven" if len(uneven) > 1 else ""
    return ValidationResult(is_valid=False, feedback=f"row {number} has {values} of {width} values{more}")
