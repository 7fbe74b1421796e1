"""A table as the smallest workbook in Office Open XML, for servers that take nothing else."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from string import ascii_uppercase
from xml.sax.saxutils import escape

Cell = str | int
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
WITHOUT_PLACE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot hold."""


def workbook(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Return an .xlsx file with one sheet; texts are texts, never formulas, and equal rows give equal bytes.

    Characters that XML cannot hold become U+FFFD. At most 26 columns.

    Source: ECMA-376, part 1, chapter 18 (SpreadsheetML), with texts inline.
    """
    lines = "".join(_row(number, row) for number, row in enumerate(rows, start=1))
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {**PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            # With a date of its own, so that no clock is in the bytes.
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), HEAD + content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _row(number: int, row: Sequence[Cell]) -> str:
    cells = (_cell(f"{letter}{number}", value) for letter, value in zip(ascii_uppercase, row, strict=False))
    return f'<row r="{number}">{"".join(cells)}</row>'


def _cell(place: str, value: Cell) -> str:
    if isinstance(value, int):
        return f'<c r="{place}"><v>{value}</v></c>'
    text = escape(WITHOUT_PLACE.sub("\ufffd", value))
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
