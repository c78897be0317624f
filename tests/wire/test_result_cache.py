"""Results that were read before are recognised, and say just what decoding them would say."""

import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.metadata import Metadata
from exporter.model.report import Piece, Reference, Report, Result, ResultSet
from exporter.wire.result_cache import (
    MAX_RAW_RESULTS,
    MAX_RESULT_SETS,
    TURNOVER_REPORTS,
    ResultCache,
    WireReport,
)

SCOPE = {"kind": "Pod", "name": "web", "uid": "u"}
AT = 1_795_000_000


def result(seconds: object = AT, **more: object) -> dict[str, Any]:
    return {
        "policy": "p",
        "result": "pass",
        "timestamp": {"nanos": 0, "seconds": seconds},
    } | more


def read(result_cache: ResultCache, body: bytes, **more: object) -> Report:
    """Read a report with these results."""
    head = {"metadata": {"name": "u", "namespace": "n"}, "scope": SCOPE} | more
    wire = msgspec.json.encode(head)[:-1] + b',"results":' + body + b"}"
    return result_cache.report(msgspec.json.decode(wire, type=WireReport))


def told(report: Report) -> list[object]:
    return [
        (p.about, p.result_set.raw_results, p.result_set.messages, seconds(p), p.newest)
        for p in report.pieces
    ]


def seconds(piece: Piece) -> list[float]:
    return list(map(float, piece.stamps))


def decoded(body: bytes) -> list[object]:
    """Say the same of results that are decoded, without any memory."""
    results = msgspec.json.decode(body, type=list[Result] | None) or []
    scope = msgspec.convert(SCOPE, Reference)
    return told(Report.of(Metadata("u"), scope, None, results))


def indented(results: object) -> bytes:
    """Encode as kubectl prints it."""
    return msgspec.json.format(msgspec.json.encode(results), indent=4)


@pytest.mark.parametrize("encode", [msgspec.json.encode, indented], ids=["API server", "kubectl"])
def test_what_differs_in_timestamps_only_is_one_object(encode: Callable[[object], bytes]) -> None:
    result_cache = ResultCache()
    first, again, same = (
        read(result_cache, encode([result(one), result(other, policy="q")]))
        for one, other in ((AT, AT + 1), (AT + 60, AT + 9), (AT + 70, AT + 70))
    )
    result_sets = {each.pieces[0].result_set for each in (first, again, same)}
    assert len(result_sets) == 1
    assert seconds(again.pieces[0]) == [AT + 60, AT + 9]
    assert seconds(same.pieces[0]) == [AT + 70, AT + 70]


@pytest.mark.parametrize(
    "stamps",
    [(AT, AT), (AT, AT + 1), (AT + 1, AT), (None, None)],
    ids=["one", "rising", "falling", "none"],
)
@pytest.mark.parametrize("others", [(AT + 60, AT + 60), (AT + 60, AT + 9)], ids=["one", "two"])
def test_it_does_not_matter_which_of_them_agree(
    stamps: tuple[int | None, int | None], others: tuple[int, int]
) -> None:
    result_cache = ResultCache()

    def body(*stamps: int | None) -> bytes:
        told = [result(stamp, policy=f"p{at}") for at, stamp in enumerate(stamps)]
        for each, stamp in zip(told, stamps, strict=True):
            if stamp is None:
                del each["timestamp"]
        return msgspec.json.encode(told)

    first, again = read(result_cache, body(*stamps)), read(result_cache, body(*stamps))
    other = read(result_cache, body(*others))
    assert told(again) == told(first) == decoded(body(*stamps))
    assert again.pieces[0].result_set is first.pieces[0].result_set
    assert (other.pieces[0].result_set is first.pieces[0].result_set) is (None not in stamps)
    assert told(other) == decoded(body(*others))


@pytest.mark.parametrize(
    "more",
    [
        {"policy": "other"},
        {"rule": "r"},
        {"result": "warn"},
        {"severity": "high"},
        {"category": "c"},
        {"source": "kyverno"},
        {"result": "fail", "message": "other"},
    ],
    ids="-".join,
)
def test_what_says_something_else_is_another(more: dict[str, str]) -> None:
    result_cache = ResultCache()
    first = read(result_cache, msgspec.json.encode([result()]))
    other = read(result_cache, msgspec.json.encode([result(**more)]))
    assert other.pieces[0].result_set is not first.pieces[0].result_set
    assert told(other) == decoded(msgspec.json.encode([result(**more)]))


TRICKY = [
    [result(AT, properties={"seconds": "1795000000"})],
    [result(AT, properties={"seconds": 1_795_000_000}), {"policy": "q"}],
    [{"policy": "q"}, result(AT)],
    [result(7)],
    [result(17_950_000_001)],
    [result(-62_135_596_800)],
    [result(1.795e9)],
    [result(AT, message='"seconds":1795000000')],
    [result(AT, message=f"since {AT}"), result(AT)],
    [result(AT, message="\0" * 10), result(AT)],
    [],
]


@pytest.mark.parametrize("results", TRICKY, ids=range(len(TRICKY)))
def test_numbers_that_are_no_timestamps_are_not_taken_for_some(results: list[object]) -> None:
    result_cache, body = ResultCache(), msgspec.json.encode(results)
    for _ in range(2):
        assert told(read(result_cache, body)) == decoded(body)


@pytest.mark.parametrize("message", ["", f"since {AT}"], ids=["plain", "with the time"])
def test_what_was_put_together_is_remembered(message: str) -> None:
    result_cache, body = ResultCache(), msgspec.json.encode([{"message": message} | result()] * 2)
    first, again = read(result_cache, body), read(result_cache, body)
    assert again.pieces[0].result_set is first.pieces[0].result_set


def test_keys_that_are_spelled_otherwise_are_read_all_the_same() -> None:
    result_cache = ResultCache()
    for body in (
        b'[{"policy":"p","timestamp":{"\\u0073econds":1795000000}}]',
        b'[{"policy":"p","timestamp":{"seconds": 1795000001}}]',
        b'[{"policy":"p","timestamp":{"seconds":1795000002,"seconds":1795000003}}]',
        b'[{"policy":"p","timestamp":{"seconds":1795000003,"seconds":1795000002}}]',
    ):
        assert told(read(result_cache, body)) == decoded(body)


texts = st.sampled_from(["", "p", "q", '"seconds":1795000000', "1795000000", "ä" * 9])
stamps = st.one_of(
    st.none(),
    st.builds(lambda s: {"seconds": s}, st.sampled_from([AT, AT + 1, 7, 1.5, 10**10, -AT, 0])),
    st.builds(lambda s: {"nanos": 0, "seconds": s}, st.integers(AT, AT + 2)),
)
items = st.fixed_dictionaries(
    {"policy": texts, "result": st.sampled_from(["pass", "fail", "odd"]), "message": texts},
    optional={"timestamp": stamps, "rule": texts, "source": texts, "properties": stamps},
)


@given(st.lists(st.lists(items, max_size=3), min_size=2, max_size=6))
def test_a_memory_of_others_changes_nothing(bodies: list[list[dict[str, object]]]) -> None:
    result_cache = ResultCache()
    for results in bodies:
        for order in (None, "sorted"):  # API servers sort keys
            body = msgspec.json.encode(results, order=order)
            assert told(read(result_cache, body)) == decoded(body)


def test_what_is_remembered_is_bounded_by_what_it_says() -> None:
    result_cache, alive = ResultCache(), weakref.WeakSet[ResultSet]()
    for number in range(30):
        failing = [result(result="fail", message=f"{number} {n} " * 300) for n in range(900)]
        alive.add(read(result_cache, msgspec.json.encode(failing)).pieces[0].result_set)
    assert 0 < len(alive) < 15


def test_what_is_met_again_stays_and_the_rest_is_forgotten() -> None:
    result_cache, alive = ResultCache(), weakref.WeakSet[ResultSet]()
    often = msgspec.json.encode([result(policy="often")])
    kept = read(result_cache, often).pieces[0].result_set
    wire = msgspec.json.encode({"metadata": {"name": "u"}, "scope": SCOPE})[:-1]
    wire += b',"results":' + often + b"}"
    again = msgspec.json.decode(wire, type=WireReport)
    for number in range(30):
        body = msgspec.json.encode([result(policy=f"once {number}")])
        alive.add(read(result_cache, body).pieces[0].result_set)
        for _ in range(TURNOVER_REPORTS // 10):
            result_cache.report(again)
        assert read(result_cache, often).pieces[0].result_set is kept
    assert 10 <= len(alive) <= 21


def test_the_newest_forms_are_recognised_though_others_are_forgotten() -> None:
    result_cache, first = ResultCache(), []
    for number in range(MAX_RESULT_SETS // 2 + 100):
        body = msgspec.json.encode([result(policy=f"p{number}")])
        first.append(read(result_cache, body).pieces[0].result_set)
    for number in range(MAX_RESULT_SETS // 2, MAX_RESULT_SETS // 2 + 100):
        body = msgspec.json.encode([result(AT + 1, policy=f"p{number}")])
        assert read(result_cache, body).pieces[0].result_set is first[number]
    assert len(result_cache._young) + len(result_cache._old) <= MAX_RESULT_SETS


def test_results_name_resources_where_the_report_has_no_scope() -> None:
    said = [result(resources=[{"kind": "Pod", "name": n}]) for n in ("a", "b", "a")]
    report = read(ResultCache(), msgspec.json.encode(said), scope=None)
    assert [(p.about.name, len(p.stamps)) for p in report.pieces] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("body", [b"null", b"[]"])
def test_no_results_are_one_silent_piece(body: bytes) -> None:
    [piece] = read(ResultCache(), body).pieces
    assert (piece.result_set.raw_results, piece.result_set.messages, seconds(piece)) == ((), (), [])


def test_a_broken_result_says_where() -> None:
    body = msgspec.json.encode([result(), result(policy=3)])
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.results\[1\]\.policy`"):
        read(ResultCache(), body)


def test_findings_fit_what_decoding_gives() -> None:
    results = [result(result="fail", message="m" * 2000), result()]
    [piece] = read(ResultCache(), msgspec.json.encode(results)).pieces
    typed = msgspec.convert(results, list[Result])
    assert piece.result_set.raw_results == tuple(
        (r.policy, r.rule, r.result, r.severity, r.category, r.source) for r in typed
    )
    assert piece.result_set.messages == ("m" * 1024, "")


def test_spellings_without_end_are_not_all_remembered() -> None:
    result_cache, number = ResultCache(), count()
    for _ in range(MAX_RAW_RESULTS // 1000 + 2):
        results = [result(policy=f"p{next(number)}") for _ in range(1000)]
        [piece] = read(result_cache, msgspec.json.encode(results)).pieces
        assert piece.result_set.raw_results[0][0] == results[0]["policy"]
    assert len(result_cache._raw_results) <= MAX_RAW_RESULTS


def test_a_timestamp_within_a_result_is_not_the_results() -> None:
    result_cache = ResultCache()
    for seconds in (AT, AT + 1):
        dated = {"policy": "p", "timestamp": {"seconds": AT}, "x": {"seconds": seconds}}
        body = msgspec.json.encode([dated, dated])
        for _ in range(2):
            assert told(read(result_cache, body)) == decoded(body)
