"""Tables and log lines as people and programs read them."""

import json
import logging
import re

from dbslo import logs, output
from dbslo.commands.status import COLUMNS
from dbslo.output import fitting

ROW = [
    "page",
    "rds-replicas-fresh",
    "payments-1-r1",
    "payments",
    "200.0x",
    "16.7x",
    "97.7%",
    "100%",
    "1m 5s",
    "1h burns 16.7x and 5m 200.0x, over 14.4x: 5 bad of 37 slices in 1h",
]


def titles(width: int) -> list[str]:
    kept, rows = fitting(COLUMNS, [ROW], width)
    assert [len(row) for row in rows] == [len(kept)]
    return [column.title for column in kept]


def test_a_wide_terminal_shows_every_column() -> None:
    assert titles(200) == [column.title for column in COLUMNS]


def test_eighty_columns_keep_what_matters_most() -> None:
    assert titles(80) == ["verdict", "slo", "resource", "budget left", "why"]
    assert "burn 1h" in titles(100)


def test_what_matters_most_is_never_left_out() -> None:
    assert titles(20) == titles(80)


def test_a_log_line_holds_windows_as_json() -> None:
    record = logging.LogRecord("dbslo", logging.INFO, "", 0, "verdict", None, None)
    windows = {"1h": {"good": 1, "total": 2}}
    record.fields = {"slo": "a", "windows": windows}
    line = logs._Text().format(record)
    (shown,) = re.findall(r"windows=(\S+)", line)
    assert json.loads(shown) == windows


def test_a_table_without_rows_has_its_titles(capsys) -> None:
    output.table(COLUMNS, [])
    assert capsys.readouterr().out.startswith("verdict  slo  resource")
    assert fitting(COLUMNS, [], 80)[1] == []
