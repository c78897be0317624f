"""The size check finds what is too large and what has a name twice, and prints where it is."""

from pathlib import Path

from tools import sizes


def function(name: str, lines: int) -> str:
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


def test_what_fits_is_not_complained_about(tmp_path: Path) -> None:
    (tmp_path / "fits.py").write_text(function("f", 50) + function("g", 3) * 2, encoding="utf-8")
    assert list(sizes.complaints(tmp_path)) == []


def test_a_long_function_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text(function("f", 51) + "async " + function("g", 2) * 3, encoding="utf-8")
    assert list(sizes.complaints(tmp_path)) == [f"{path}:1 f: 51 lines, at most 50"]


def test_a_long_module_is_named(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("x = 1\n" * 331, encoding="utf-8")
    assert list(sizes.complaints(tmp_path)) == [f"{path}: 331 lines, at most 330"]


def test_many_functions_that_are_each_a_bit_long_are_too_much(tmp_path: Path) -> None:
    (tmp_path / "dense.py").write_text(function("f", 11) * 3, encoding="utf-8")
    assert list(sizes.complaints(tmp_path)) == [
        f"{tmp_path}: the median function has 11 lines, at most 10"
    ]


def test_two_classes_of_one_name_are_named_with_both_places(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("class Row:\n    x = 1\n", encoding="utf-8")
    other.write_text("x = 1\nclass Row:\n    x = 1\nclass Rows:\n    x = 1\n", encoding="utf-8")
    assert list(sizes.complaints(tmp_path)) == [
        f"{other}:2: class Row has the name of a class in {one}:1"
    ]
