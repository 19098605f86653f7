"""Tables as people have them: a text of cells becomes columns, inputs and targets.

`read_table` is all that others need. It goes from the text to records (`records`), finds out the
delimiter and the decimal sign (`dialect`) and whether there are names (`header`), makes a grid of
equally long rows (`grid`), and reads each column (`cells`) and the targets (`labels`).
"""

from engine.spec.tables.errors import NoSuchColumn, TableError
from engine.spec.tables.reader import Missing, Options, Table, parse_table, read_table
from engine.spec.tables.records import decode

__all__ = [
    "Missing",
    "NoSuchColumn",
    "Options",
    "Table",
    "TableError",
    "decode",
    "parse_table",
    "read_table",
]
