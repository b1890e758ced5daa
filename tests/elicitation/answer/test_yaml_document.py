from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llm_prior_bo.elicitation.answer.yaml_document import (
    MAX_CHARACTERS,
    read_yaml,
    yaml_block,
    yaml_number,
    yaml_text,
)
from llm_prior_bo.errors import AnswerError

finite = st.floats(allow_nan=False, allow_infinity=False)


class TestReadYaml:
    @pytest.mark.parametrize(
        "scalar", ["1e-3", "1_000", "no", "on", "1:30", "0o17", "null", "2026-11-28", ".inf", "=", "1.0"]
    )
    def test_scalars_are_what_stands_there(self, scalar: str) -> None:
        assert read_yaml(f"key: [{scalar}]").data == {"key": [scalar]}
        assert read_yaml(f"{scalar}: 1").data == {scalar: "1"}

    def test_the_short_form_of_null(self) -> None:
        assert read_yaml("{~: ~, '~': '~'}").data == {"null": "null", "~": "~"}

    def test_places(self) -> None:
        document = read_yaml("# note\na:\n  - b: 1\n  - c: 2\n    d: [3,\n        4]\n")
        assert document.place(("a",)) == "line 2, 'a'"
        assert document.place(("a", 1, "d")) == "line 5, 'a[2].d'"
        assert document.place(("a", 1, "d", 1)) == "line 6, 'a[2].d[2]'"
        assert document.place(()) == "line 2"
        assert read_yaml("").place(()) == "the file"

    def test_a_place_without_a_line(self) -> None:
        assert read_yaml("a: 1").place(("b", 0)) == "'b[1]'"

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: 1\na: 2", r"every key once, got 'a' again in line 2"),
            ("a: 1\nb: &x [1]\nc: *x", r"without anchors and aliases, got one in line 2"),
            ("a: [1, 2", r"error in line 1"),
            ("a: 1\n b: 2", r"error in line 2"),
            ("a:\n\t- 1", r"error in line 2"),
            ("a: 1\n---\nb: 2", r"single document"),
            ("? [a, b]\n: 1", r"a list or a mapping in line 1"),
            ("a: \x07", r"ReaderError"),
            ("[" * 20_000, r"RecursionError"),
            ("a" * (MAX_CHARACTERS + 1), r"short YAML file"),
        ],
    )
    def test_mistakes_name_the_line(self, text: str, told: str) -> None:
        with pytest.raises(AnswerError, match=told):
            read_yaml(text)


class TestWriting:
    @given(st.text())
    def test_texts_are_read_back_by_everyone(self, text: str) -> None:
        line = f"{{{yaml_text(text)}: {yaml_text(text)}}}"
        assert "\n" not in line
        assert read_yaml(line).data == {text: text}
        loaded = yaml.safe_load(line)
        assert [str(key) for key in loaded] == [str(value) for value in loaded.values()] == [text]

    @pytest.mark.parametrize("text", ["adam", "block.0-lr", "größe", "32", "0.5", "-1"])
    def test_plain_words_and_numbers_need_no_quotes(self, text: str) -> None:
        assert yaml_text(text) == text

    @pytest.mark.parametrize("text", ["no", "on", "null", "True", "1e-3", "007", "1_000", "1:30", "", "a b", "#x", "~"])
    def test_what_others_take_for_something_else_is_quoted(self, text: str) -> None:
        assert yaml_text(text) == f'"{text}"'

    @given(finite)
    def test_numbers_are_read_back_by_everyone(self, value: float) -> None:
        text = yaml_number(value)
        assert float(text) == value
        assert yaml.safe_load(text) == value

    @pytest.mark.parametrize(("value", "text"), [(4.0, "4"), (0.001, "0.001"), (2e-5, "2.0e-05"), (1.5e-5, "1.5e-05")])
    def test_numbers_are_short(self, value: float, text: str) -> None:
        assert yaml_number(value) == text

    @given(st.text(alphabet=st.sampled_from("ab \n\t#:'\"|>-\u202e\x00é")))
    def test_blocks_are_read_back_by_everyone(self, text: str) -> None:
        page = f"key: {yaml_block(text)}\nlast: 1\n"
        assert read_yaml(page).data == {"key": text, "last": "1"}
        assert yaml.safe_load(page) == {"key": text if text != "" else "", "last": 1}

    def test_lines_stay_lines(self) -> None:
        assert yaml_block("one\ntwo") == "|-\n  one\n  two"
