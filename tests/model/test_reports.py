"""What a report says of which resources."""

from exporter.model.metadata import Metadata
from exporter.model.report import (
    LONGEST_LABEL,
    Instant,
    Reference,
    Report,
    Result,
    clip,
    engine_of,
    source_of,
)

AT = 1_795_000_000
A, B = Reference("Pod", "a", "shop"), Reference("Pod", "b", "shop")


def words(report: Report) -> dict[str, list[str]]:
    """The result words that count, by the name of the resource."""
    return {
        piece.about.name: [raw[2] for raw in piece.current().result_set.raw_results]
        for piece in report.pieces
    }


def dated(word: str, seconds: int, rule: str = "lookup") -> Result:
    return Result("dns", rule, word, source="netchecks", timestamp=Instant(seconds))


def test_each_resource_of_a_result_has_it() -> None:
    both, one = Result("p", "r", "fail", resources=[A, B]), Result("p", "s", "pass", resources=[B])
    report = Report.of(Metadata("r", "shop"), None, None, [both, one])
    assert words(report) == {"a": ["fail"], "b": ["fail", "pass"]}


def test_a_resource_that_a_result_names_twice_has_it_once() -> None:
    report = Report.of(Metadata("r"), None, None, [Result("p", "r", "fail", resources=[A, A])])
    assert words(report) == {"a": ["fail"]}


def test_of_a_checks_history_the_newest_verdict_counts() -> None:
    history = [dated("fail", AT), dated("pass", AT + 9), dated("fail", AT - 9, "other")]
    assert words(Report.of(Metadata("r"), None, None, history)) == {"": ["pass", "fail"]}


def test_seconds_of_the_minute_are_no_history() -> None:
    falcos = [dated("fail", 41), dated("fail", 52)]
    assert words(Report.of(Metadata("r"), A, None, falcos)) == {"a": ["fail", "fail"]}


def test_results_of_one_check_that_are_equally_old_all_count() -> None:
    several = [dated("fail", 10), dated("fail", 10)]
    assert words(Report.of(Metadata("r"), A, None, several)) == {"a": ["fail", "fail"]}


def test_what_is_too_long_is_cut_and_stays_distinct() -> None:
    begin = "1.1.1 " + "x" * LONGEST_LABEL
    manual, automatic = clip(f"{begin} (manual)"), clip(f"{begin} (automatic)")
    assert manual != automatic
    assert len(manual) == len(automatic) == LONGEST_LABEL
    assert clip(manual) == manual
    assert clip("\ud800" * 200) != clip("\ud800" * 201)


def test_kyvernos_sources_are_one_engine_and_no_others_are() -> None:
    ours = ("kyverno", "KyvernoValidatingPolicy", "KyvernoMutatingPolicy")
    native = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
    assert {*map(engine_of, ours + native)} == {"kyverno"}
    others = ("kubewarden", "Kyverno Event", "Falco", "")
    assert [*map(engine_of, others)] == [*others]


def test_only_a_namespaced_result_without_a_rule_is_of_a_cel_policy() -> None:
    assert source_of("shop/need-team", "", "kyverno") == "KyvernoValidatingPolicy"
    assert source_of("shop/need-team", "check", "kyverno") == "kyverno"
    assert source_of("need-team", "", "kyverno") == "kyverno"
    assert source_of("shop/need-team", "", "kubewarden") == "kubewarden"
