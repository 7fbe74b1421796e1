"""Data within scripts: whatever they hold, they come out equal and never leave their quotes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.report.script_data import script_json, write_script
from tests.report.made_runs import HOSTILE

TEXTS = st.text(alphabet=st.characters(exclude_categories=())) | st.sampled_from([HOSTILE, "<!--", "]]>", "\u2028"])


@given(st.recursive(TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_any_value_comes_back_from_inert_text(value: object) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_a_script_registers_its_value(tmp_path: Path) -> None:
    written = write_script(tmp_path / "deep" / "0.js", HOSTILE, {"answer": HOSTILE})
    text = (tmp_path / "deep" / "0.js").read_text()
    assert written == len(text)
    assert text.startswith("lavitReport.register(")
    assert text.count("\n") == 1
    key, value = json.loads(f"[{text.removeprefix('lavitReport.register(').removesuffix(');' + chr(10))}]")
    assert (key, value) == (HOSTILE, {"answer": HOSTILE})


def test_what_json_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_script(tmp_path / "0.js", "key", float("nan"))
