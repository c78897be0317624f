"""Results that were read before are recognised, and say just what decoding them would say."""

import weakref
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.metadata import Metadata
from exporter.model.report import Piece, Reference, Report, Result, ResultSet
from exporter.wire.result_cache import LONG, MOST, ResultCache, WireReport
from exporter.wire.singles import MOST_BYTES, MOST_SPELLINGS

SCOPE = {"kind": "Pod", "name": "web", "uid": "u"}
AT = 1_795_000_000


def result(seconds: object = AT, **more: object) -> dict[str, Any]:
    return {
        "policy": "p",
        "result": "pass",
        "timestamp": {"nanos": 0, "seconds": seconds},
    } | more


def read(recall: ResultCache, body: bytes, **more: object) -> Report:
    """Read a report with these results."""
    head = {"metadata": {"name": "u", "namespace": "n"}, "scope": SCOPE} | more
    wire = msgspec.json.encode(head)[:-1] + b',"results":' + body + b"}"
    return recall.report(msgspec.json.decode(wire, type=WireReport))


def told(report: Report) -> list[object]:
    return [
        (p.about, p.findings.spellings, p.findings.messages, seconds(p), p.newest)
        for p in report.pieces
    ]


def seconds(piece: Piece) -> list[float]:
    return list(map(float, piece.stamps))


def decoded(body: bytes) -> list[object]:
    """Say the same of results that are decoded, without any memory."""
    results = msgspec.json.decode(body, type=list[Result] | None) or []
    scope = msgspec.convert(SCOPE, Reference)
    return told(Report.of(Metadata("u"), scope, None, results))


def test_what_differs_in_timestamps_only_is_one_object() -> None:
    recall = ResultCache()
    first = read(recall, msgspec.json.encode([result(AT), result(AT + 1, policy="q")]))
    again = read(recall, msgspec.json.encode([result(AT + 60), result(AT + 9, policy="q")]))
    assert again.pieces[0].findings is first.pieces[0].findings
    assert seconds(again.pieces[0]) == [AT + 60, AT + 9]


@pytest.mark.parametrize(
    "stamps",
    [(AT, AT), (AT, AT + 1), (AT + 1, AT), (None, None)],
    ids=["one", "rising", "falling", "none"],
)
@pytest.mark.parametrize("others", [(AT + 60, AT + 60), (AT + 60, AT + 9)], ids=["one", "two"])
def test_it_does_not_matter_which_of_them_agree(
    stamps: tuple[int | None, int | None], others: tuple[int, int]
) -> None:
    recall = ResultCache()

    def body(*stamps: int | None) -> bytes:
        told = [result(stamp, policy=f"p{at}") for at, stamp in enumerate(stamps)]
        for each, stamp in zip(told, stamps, strict=True):
            if stamp is None:
                del each["timestamp"]
        return msgspec.json.encode(told)

    first, again = read(recall, body(*stamps)), read(recall, body(*stamps))
    other = read(recall, body(*others))
    assert told(again) == told(first) == decoded(body(*stamps))
    assert again.pieces[0].findings is first.pieces[0].findings
    assert (other.pieces[0].findings is first.pieces[0].findings) is (None not in stamps)
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
    recall = ResultCache()
    first = read(recall, msgspec.json.encode([result()]))
    other = read(recall, msgspec.json.encode([result(**more)]))
    assert other.pieces[0].findings is not first.pieces[0].findings
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
    recall, body = ResultCache(), msgspec.json.encode(results)
    for _ in range(2):
        assert told(read(recall, body)) == decoded(body)


@pytest.mark.parametrize("message", ["", f"since {AT}"], ids=["plain", "with the time"])
def test_what_was_put_together_is_remembered(message: str) -> None:
    recall, body = ResultCache(), msgspec.json.encode([{"message": message} | result()] * 2)
    first, again = read(recall, body), read(recall, body)
    assert again.pieces[0].findings is first.pieces[0].findings


def test_keys_that_are_spelled_otherwise_are_read_all_the_same() -> None:
    recall = ResultCache()
    for body in (
        b'[{"policy":"p","timestamp":{"\\u0073econds":1795000000}}]',
        b'[{"policy":"p","timestamp":{"seconds": 1795000001}}]',
        b'[{"policy":"p","timestamp":{"seconds":1795000002,"seconds":1795000003}}]',
        b'[{"policy":"p","timestamp":{"seconds":1795000003,"seconds":1795000002}}]',
    ):
        assert told(read(recall, body)) == decoded(body)


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
    recall = ResultCache()
    for results in bodies:
        for order in (None, "sorted"):  # API servers sort keys
            body = msgspec.json.encode(results, order=order)
            assert told(read(recall, body)) == decoded(body)


def test_what_is_remembered_is_bounded_by_what_it_says() -> None:
    recall, alive = ResultCache(), weakref.WeakSet[ResultSet]()
    for number in range(30):
        failing = [result(result="fail", message=f"{number} {n} " * 300) for n in range(1000)]
        alive.add(read(recall, msgspec.json.encode(failing)).pieces[0].findings)
    assert 0 < len(alive) < 10


def test_what_is_met_again_stays_and_the_rest_is_forgotten() -> None:
    recall, alive = ResultCache(), weakref.WeakSet[ResultSet]()
    often = msgspec.json.encode([result(policy="often")])
    kept = read(recall, often).pieces[0].findings
    wire = msgspec.json.encode({"metadata": {"name": "u"}, "scope": SCOPE})[:-1]
    wire += b',"results":' + often + b"}"
    again = msgspec.json.decode(wire, type=WireReport)
    for number in range(30):
        body = msgspec.json.encode([result(policy=f"once {number}")])
        alive.add(read(recall, body).pieces[0].findings)
        for _ in range(LONG // 10):
            recall.report(again)
        assert read(recall, often).pieces[0].findings is kept
    assert 10 <= len(alive) <= 21


def test_the_newest_forms_are_recognised_though_others_are_forgotten() -> None:
    recall, first = ResultCache(), []
    for number in range(MOST // 2 + 100):
        body = msgspec.json.encode([result(policy=f"p{number}")])
        first.append(read(recall, body).pieces[0].findings)
    for number in range(MOST // 2, MOST // 2 + 100):
        body = msgspec.json.encode([result(AT + 1, policy=f"p{number}")])
        assert read(recall, body).pieces[0].findings is first[number]
    assert len(recall._young) + len(recall._old) <= MOST


def test_results_name_resources_where_the_report_has_no_scope() -> None:
    said = [result(resources=[{"kind": "Pod", "name": n}]) for n in ("a", "b", "a")]
    report = read(ResultCache(), msgspec.json.encode(said), scope=None)
    assert [(p.about.name, len(p.stamps)) for p in report.pieces] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("body", [b"null", b"[]"])
def test_no_results_are_one_silent_piece(body: bytes) -> None:
    [piece] = read(ResultCache(), body).pieces
    assert (piece.findings.spellings, piece.findings.messages, seconds(piece)) == ((), (), [])


def test_a_broken_result_says_where() -> None:
    body = msgspec.json.encode([result(), result(policy=3)])
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.results\[1\]\.policy`"):
        read(ResultCache(), body)


def test_findings_fit_what_decoding_gives() -> None:
    results = [result(result="fail", message="m" * 2000), result()]
    [piece] = read(ResultCache(), msgspec.json.encode(results)).pieces
    typed = msgspec.convert(results, list[Result])
    assert piece.findings.spellings == tuple(
        (r.policy, r.rule, r.result, r.severity, r.category, r.source) for r in typed
    )
    assert piece.findings.messages == ("m" * 1024, "")


def test_spellings_without_end_are_not_all_remembered() -> None:
    recall, number = ResultCache(), count()
    for _ in range(MOST_SPELLINGS // 1000 + 2):
        results = [result(policy=f"p{next(number)}") for _ in range(1000)]
        [piece] = read(recall, msgspec.json.encode(results)).pieces
        assert piece.findings.spellings[0][0] == results[0]["policy"]
    assert len(recall._singles._spellings) <= MOST_SPELLINGS


@pytest.mark.parametrize(
    "more",
    [{}, {"result": "fail", "message": "m"}, {"result": "error"}, {"result": "fail", "rule": "r"}],
    ids=["pass", "fail", "error", "silent"],
)
def test_a_result_is_one_object_whatever_stands_beside_it(more: dict[str, str]) -> None:
    recall = ResultCache()

    def body(*results: object) -> bytes:
        return msgspec.json.encode(results, order="sorted")  # so a result ends with its timestamp

    first = read(recall, body(result(), result(policy="q", **more)))
    known = len(recall._singles._known)
    assert known == (1 if more else 2), "what fails is not remembered"
    others = body(result(AT + 9, policy="q", **more), result(AT + 9))
    other = read(recall, others)
    assert len(recall._singles._known) == known
    assert other.pieces[0].findings.spellings == first.pieces[0].findings.spellings[::-1]
    assert other.pieces[0].findings.spellings[0] is first.pieces[0].findings.spellings[1]
    assert told(other) == decoded(others)


def test_a_timestamp_within_a_result_is_not_the_results() -> None:
    recall = ResultCache()
    for seconds in (AT, AT + 1):
        dated = {"policy": "p", "timestamp": {"seconds": AT}, "x": {"seconds": seconds}}
        body = msgspec.json.encode([dated, dated])
        for _ in range(2):
            assert told(read(recall, body)) == decoded(body)


def test_texts_of_single_results_are_not_remembered_without_end() -> None:
    recall = ResultCache()
    for number, size in enumerate([3 * MOST_BYTES, *[8_000] * (MOST_BYTES // 7_000)]):
        said = [{"message": "m" * size} | result(policy=f"p{number}")]
        body = msgspec.json.encode(said)
        assert told(read(recall, body)) == decoded(body)
        assert sum(map(len, recall._singles._known)) <= MOST_BYTES
