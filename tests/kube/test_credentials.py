"""Which credentials are chosen, and a Pod's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import ConfigError, Refused
from exporter.kube.access import Access
from exporter.kube.credentials import Anonymous, InCluster, find_credentials, own_namespace
from exporter.kube.kubeconfig import Kubeconfig
from tests.kube.kubeconfigs import kubeconfig
from tests.pki import Authority

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text("first\n")
    (directory / "ca.crt").write_text(Authority().pem)
    return directory


async def test_a_pod_reads_its_token_at_each_request(service_account: Path) -> None:
    credentials = find_credentials(environ=POD, service_account=service_account)
    assert isinstance(credentials, InCluster)
    before = await credentials.access()
    assert before.server == "https://10.0.0.1:443"
    assert before.authorization == "Bearer first"
    (service_account / "token").write_text("second\n")
    assert (await credentials.access()).authorization == "Bearer second"
    assert (await credentials.renewed(before)).authorization == "Bearer second"


async def test_a_pod_trusts_a_new_authority_as_soon_as_it_is_there(service_account: Path) -> None:
    credentials = InCluster(POD, service_account)
    before = (await credentials.access()).tls
    (service_account / "ca.crt").write_text(Authority("new").pem)
    assert (await credentials.access()).tls is not before


def test_an_ipv6_address_is_put_in_brackets(service_account: Path) -> None:
    credentials = InCluster({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account)
    assert credentials._server == "https://[fd00::1]:443"


@pytest.mark.parametrize("content", ["", "\n", None, "töken"])
async def test_a_token_that_cannot_be_read_is_refused_with_its_file(
    service_account: Path, content: str | None
) -> None:
    credentials = InCluster(POD, service_account)
    token = service_account / "token"
    token.unlink()
    if content is not None:
        token.write_text(content, encoding="utf-8")
    with pytest.raises(Refused, match=str(token)):
        await credentials.access()


async def test_nobody_stays_nobody() -> None:
    credentials = Anonymous("http://127.0.0.1:1/")
    access = await credentials.access()
    assert access == Access("http://127.0.0.1:1")
    assert await credentials.renewed(access) == access


def chosen(home: Path, flag: str = "", **environ: str) -> str:
    return find_credentials(flag, environ={"HOME": str(home), **environ}).name


def test_the_flag_comes_before_the_variable_and_that_before_the_default(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    default = Path(kubeconfig(tmp_path, "http://default", {}, name="default"))
    default.rename(home / ".kube" / "config")
    flag = kubeconfig(tmp_path, "http://flag", {}, name="flag")
    variable = kubeconfig(tmp_path, "http://variable", {}, name="variable")
    assert chosen(home, flag, KUBECONFIG=variable).endswith("context flag")
    assert chosen(home, KUBECONFIG=variable).endswith("context variable")
    assert chosen(home).endswith("context default")


def test_a_kubeconfig_that_is_named_comes_before_the_pod(
    tmp_path: Path, service_account: Path
) -> None:
    flag = kubeconfig(tmp_path, "http://flag", {})
    found = find_credentials(flag, environ=POD, service_account=service_account)
    assert isinstance(found, Kubeconfig)


def test_without_any_cluster_the_message_says_what_can_be_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no cluster found: .*KUBECONFIG.*--kubeconfig.*demo"):
        find_credentials(environ={"HOME": str(tmp_path)}, service_account=tmp_path)


def test_a_pod_does_not_pay_for_what_reads_kubeconfigs(service_account: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from exporter.kube import credentials as c, source;"
        f"c.find_credentials(environ={POD!r}, service_account=Path({str(service_account)!r}));"
        "sys.exit('kubernetes' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_namespace_of_a_pod_is_that_of_its_service_account(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("monitoring\n", encoding="ascii")
    assert own_namespace(tmp_path) == "monitoring"


def test_outside_a_pod_the_namespace_of_the_state_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--state\.configmap: .* expected NAMESPACE/NAME"):
        own_namespace(tmp_path)
