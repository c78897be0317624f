"""What the configuration may say about alerting."""

import msgspec
import pytest

from exporter.alerting.settings import AlertingSettings, AlertmanagerTarget
from exporter.errors import ConfigError


def settings(**said: object) -> AlertingSettings:
    return msgspec.convert(said, AlertingSettings)


def test_without_alertmanagers_nothing_is_required() -> None:
    made = settings()
    assert made.alertmanagers == ()
    assert (made.interval, made.max_alerts, made.blocks.hold) == (60, 1000, 900)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://am:9093", "http://am:9093/api/v2/alerts"),
        ("http://am:9093/", "http://am:9093/api/v2/alerts"),
        ("https://am/prefix/", "https://am/prefix/api/v2/alerts"),
        ("http://am:9093/api/v2/alerts", "http://am:9093/api/v2/alerts"),
    ],
)
def test_the_path_of_the_api_is_added(url: str, endpoint: str) -> None:
    assert AlertmanagerTarget(url).endpoint == endpoint
    assert AlertmanagerTarget(url).name == endpoint.removesuffix("/api/v2/alerts")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"alertmanagers": [{"url": "am:9093"}]}, "is not http://host or https://host"),
        ({"alertmanagers": [{"url": "http://"}]}, "is not http://host or https://host"),
        ({"alertmanagers": [{"url": "http://u:p@am"}]}, "contains credentials; use basic_auth"),
        ({"alertmanagers": [{"url": "http://am?x=1"}]}, r"without \? and #"),
        ({"alertmanagers": [{"url": "http://a..b:9093"}]}, "parts of 1 to 63"),
        ({"alertmanagers": [{"url": f"http://{64 * 'x'}.b"}]}, "parts of 1 to 63"),
        ({"alertmanagers": [{"url": "http://am:65536"}]}, "from 1 to 65535"),
        ({"alertmanagers": [{"url": "http://am:x"}]}, "from 1 to 65535"),
        (
            {"alertmanagers": [{"url": "http://am"}, {"url": "http://am/"}]},
            "one url is listed twice",
        ),
        (
            {
                "alertmanagers": [
                    {
                        "url": "http://am",
                        "basic_auth": {"username": "u", "password_file": "p"},
                        "bearer_token_file": "t",
                    }
                ]
            },
            "set either basic_auth or bearer_token_file, not both",
        ),
        (
            {"alertmanagers": [{"url": "http://am", "tls": {"cert_file": "c"}}]},
            "set both cert_file and key_file, or neither",
        ),
        ({"alertmanagers": [{"url": "http://am", "timeout": 0}]}, "timeout"),
        ({"interval": 0.5}, "interval"),
        ({"max_alerts": 1}, "max_alerts"),
        ({"resolve_delay": 61}, "resolve_delay"),
        ({"violations": {"group_by": ["namespace"]}}, "policy is missing, but required"),
        ({"violations": {"group_by": ["policy", "policy"]}}, "listed twice"),
        ({"violations": {"group_by": ["policy", "image"]}}, "group_by"),
        ({"violations": {"severities": {"High": "page"}}}, "severities"),
        ({"blocks": {"group_by": ["policy", "source"]}}, "group_by"),
        ({"blocks": {"group_by": ["kind"]}}, "policy is missing, but required"),
        ({"filters": {"modes": ["Enforce"]}}, "modes"),
        ({"labels": {"a-b": "c"}}, "'a-b' is not a valid name"),
        ({"annotations": {"1": "c"}}, "'1' is not a valid name"),
        ({"labels": {"namespace": "x"}}, "namespace cannot be changed"),
        ({"alertmanager": []}, "unknown field"),
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, object], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        settings(**said)


def test_addresses_of_the_flag_are_added_to_those_of_the_file() -> None:
    made = settings(alertmanagers=[{"url": "http://a", "timeout": 5}]).plus(["http://b"])
    assert [(t.url, t.timeout) for t in made.alertmanagers] == [("http://a", 5), ("http://b", 10)]


@pytest.mark.parametrize("url", ["b:9093", "http://a/", "http://u:p@b"])
def test_an_address_of_the_flag_that_cannot_be_is_refused(url: str) -> None:
    made = settings(alertmanagers=[{"url": "http://a"}])
    with pytest.raises(ConfigError, match=r"--alertmanager\.url: "):
        made.plus([url])
