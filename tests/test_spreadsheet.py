"""A workbook holds the cells as they are."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

from lavit_eval.spreadsheet import MAIN, Cell, workbook


def cells(content: bytes) -> list[list[Cell]]:
    """Return the cells of a workbook's sheet."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        for name in file.namelist():
            ElementTree.fromstring(file.read(name))
        sheet = ElementTree.fromstring(file.read("xl/worksheets/sheet1.xml"))
    space = {"m": MAIN}
    return [
        [
            "".join(one.itertext()) if one.get("t") == "inlineStr" else int(one.findtext("m:v", "", space))
            for one in row.findall("m:c", space)
        ]
        for row in sheet.findall("m:sheetData/m:row", space)
    ]


def test_cells_come_back() -> None:
    rows: list[list[Cell]] = [
        ["index", "question", ""],
        [1000241, ' <b> & "two"\nlines ', "=HYPERLINK('x')"],
        [-3, "ñ 猫 🐈", "tab\there"],
    ]
    assert cells(workbook(rows)) == rows
    assert workbook(rows) == workbook(rows)


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert cells(workbook([["a\0b\x1bc\ud800"]])) == [["a\ufffdb\ufffdc\ufffd"]]


def test_places_are_named() -> None:
    with zipfile.ZipFile(io.BytesIO(workbook([["a", "b"], [1, 2]]))) as file:
        sheet = file.read("xl/worksheets/sheet1.xml").decode()
    assert 'r="B2"><v>2</v>' in sheet
