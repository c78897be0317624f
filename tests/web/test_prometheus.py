"""A real Prometheus scrapes through everything the web configuration can put in its way."""

import asyncio
from pathlib import Path

import pytest

from tests.pki import Authority
from tests.servers import Prometheus, prometheus
from tests.tools import eventually
from tests.web import fakes
from tests.web.test_guard import PASSWORD, USERS

pytestmark = pytest.mark.tier("monitoring")

SCRAPES = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: secured
    scheme: https
    basic_auth: {{username: prometheus, password: {password}}}
    tls_config: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}}}
    static_configs: [targets: ["{target}"]]
  - job_name: without-password
    scheme: https
    tls_config: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}}}
    static_configs: [targets: ["{target}"]]
  - job_name: without-certificate
    scheme: https
    basic_auth: {{username: prometheus, password: {password}}}
    tls_config: {{ca_file: {ca}}}
    static_configs: [targets: ["{target}"]]
"""
EXPOSITION = b"# TYPE a gauge\n# HELP a Help.\na 1\n# EOF\n"


async def test_it_gets_openmetrics_through_tls_and_a_password(tmp_path: Path) -> None:
    authority, scraper = Authority(), fakes.FakeScraper([EXPOSITION])
    authority.server().write(tmp_path, "s")
    cert, key = authority.issue("prometheus").write(tmp_path, "client")
    (tmp_path / "ca.crt").write_text(authority.pem)
    web = tmp_path / "web.yml"
    web.write_text(
        "tls_server_config: {cert_file: s.crt, key_file: s.key, client_ca_file: ca.crt,"
        " client_auth_type: RequireAndVerifyClientCert}\n"
        f"basic_auth_users: {USERS}\n"
    )
    async with fakes.served(scraper, config_file=web) as server:
        target = server.url.removeprefix("https://")
        config = SCRAPES.format(
            ca=tmp_path / "ca.crt", cert=cert, key=key, target=target, password=f'"{PASSWORD}"'
        )
        errors = await asyncio.to_thread(scrape, config)
    assert errors["secured"] == ""
    assert "401" in errors["without-password"]
    assert errors["without-certificate"] != ""
    assert {openmetrics for openmetrics, _ in scraper.asked} == {True}


def scrape(config: str) -> dict[str, str]:
    """Let Prometheus scrape each target, and give its last errors by job."""
    with prometheus(config) as server:
        eventually(lambda: server.value('up{job="secured"}') == 1.0, what="a scrape through")
        assert server.value("a") == 1.0
        eventually(lambda: all_tried(server), what="a scrape of each target")
        return {each.labels["job"]: each.last_error for each in server.targets()}


def all_tried(server: Prometheus) -> bool:
    return all(each.health != "unknown" for each in server.targets())
