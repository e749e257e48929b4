"""TLS: what is accepted, what is refused, and what the user is told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from emonhub import SettingError
from emonhub.interfacers.core.mqtt.connection import ConnectionState
from emonhub.interfacers.core.mqtt.live import EmonHubMqttInterfacer
from tests.fakes.certificates import Authority
from tests.fakes.mosquitto import Mosquitto
from tests.interfacers.mqtt.conftest import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.interfacers.mqtt.conftest import House


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    folder.chmod(0o755)
    return Authority(folder)


@asynccontextmanager
async def secured(folder: Path, ca: Authority, cert: tuple[Path, Path], *more: str) -> AsyncIterator[Mosquitto]:
    certificate, key = cert
    options = ["allow_anonymous true", f"cafile {ca.certificate}", f"certfile {certificate}", f"keyfile {key}", *more]
    async with Mosquitto(folder, options) as broker:
        yield broker


def start(house: House, broker: Mosquitto, **settings: Any) -> EmonHubMqttInterfacer:
    chosen = {"mqtt_port": broker.port, "mqtt_tls_enabled": True, **settings}
    live = house.add(EmonHubMqttInterfacer, **chosen).interfacer
    assert isinstance(live, EmonHubMqttInterfacer)
    return live


async def welcomed(live: EmonHubMqttInterfacer) -> bool:
    await until(lambda: live.connection is not None and live.connection.tried.is_set())
    assert live.connection is not None
    return live.connection.connected


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_private_ca(house: House, tmp_path: Path, ca: Authority, version: str) -> None:
    async with secured(tmp_path, ca, ca.issue("server")) as broker:
        live = start(house, broker, mqtt_tls_ca_certs=str(ca.certificate), mqtt_version=version)
        assert await welcomed(live)
        assert live.endpoint() == f"MQTT broker at 127.0.0.1:{broker.port} with TLS"


async def test_a_ca_that_nobody_knows(house: House, tmp_path: Path, ca: Authority) -> None:
    async with secured(tmp_path, ca, ca.issue("server")) as broker:
        live = start(house, broker)
        assert not await welcomed(live)
        assert f"the certificate of 127.0.0.1:{broker.port} is refused" in live.trouble


async def test_an_expired_certificate(house: House, tmp_path: Path, ca: Authority) -> None:
    async with secured(tmp_path, ca, ca.issue("old", days=-1)) as broker:
        live = start(house, broker, mqtt_tls_ca_certs=str(ca.certificate))
        assert not await welcomed(live)
        assert "certificate has expired" in live.trouble


async def test_a_wrong_host_name_and_the_ways_out(house: House, tmp_path: Path, ca: Authority) -> None:
    async with secured(tmp_path, ca, ca.issue("other", "DNS:broker.example")) as broker:
        live = start(house, broker, mqtt_tls_ca_certs=str(ca.certificate))
        assert not await welcomed(live)
        assert "IP address mismatch" in live.trouble
        named = start(
            house,
            broker,
            name="named",
            mqtt_tls_ca_certs=str(ca.certificate),
            mqtt_tls_server_name="broker.example",
        )
        assert await welcomed(named)
        unchecked = start(
            house, broker, name="unchecked", mqtt_tls_ca_certs=str(ca.certificate), mqtt_tls_insecure=True
        )
        assert await welcomed(unchecked)
        assert "host name not checked" in unchecked.endpoint()


async def test_the_name_may_go_unchecked_but_never_the_ca(house: House, tmp_path: Path, ca: Authority) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    async with secured(tmp_path, ca, ca.issue("server")) as broker:
        stranger = Authority(folder, "stranger")
        live = start(house, broker, mqtt_tls_ca_certs=str(stranger.certificate), mqtt_tls_insecure=True)
        assert not await welcomed(live)
        assert "is refused" in live.trouble


async def test_a_required_client_certificate(house: House, tmp_path: Path, ca: Authority) -> None:
    certificate, key = ca.issue("hub")
    async with secured(tmp_path, ca, ca.issue("server"), "require_certificate true") as broker:
        without = start(house, broker, name="without", mqtt_tls_ca_certs=str(ca.certificate))
        assert not await welcomed(without)
        assert "mqtt_tls_certfile" in without.trouble
        live = start(
            house,
            broker,
            mqtt_tls_ca_certs=str(ca.certificate),
            mqtt_tls_certfile=str(certificate),
            mqtt_tls_keyfile=str(key),
        )
        assert await welcomed(live)


async def test_a_renewed_certificate_is_used_without_a_restart(house: House, tmp_path: Path, ca: Authority) -> None:
    bundle = tmp_path / "bundle.pem"
    async with secured(tmp_path, ca, ca.issue("server")) as broker:
        live = start(house, broker, mqtt_tls_ca_certs=str(bundle))
        assert not await welcomed(live)
        assert live.trouble == f"mqtt_tls_ca_certs: there is no {bundle}"
        bundle.write_bytes(ca.certificate.read_bytes())
        await until(lambda: live.connection and live.connection.state is ConnectionState.CONNECTED)


async def test_no_tls_where_tls_is_wanted_and_the_other_way_round(
    house: House, tmp_path: Path, ca: Authority, broker: Mosquitto
) -> None:
    folder = tmp_path / "secured"
    folder.mkdir()
    async with secured(folder, ca, ca.issue("server")) as secure:
        plain = start(house, secure, name="plain", mqtt_tls_enabled=False)
        assert not await welcomed(plain)
        assert "mqtt_tls_enabled" in plain.trouble
        wrong = start(house, broker, mqtt_tls_ca_certs=str(ca.certificate))
        await until(lambda: wrong.trouble)
        assert "is it a port for TLS?" in wrong.trouble


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"mqtt_tls_insecure": True}, "mqtt_tls_server_name"),
        ({"mqtt_tls_keyfile": "x.key"}, "mqtt_tls_certfile"),
    ],
)
def test_what_would_look_safe_and_is_not_is_refused(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(SettingError, match=remedy):
        EmonHubMqttInterfacer("MQTT", {"mqtt_tls_enabled": True, **settings})


async def test_a_password_in_the_clear_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    runner = house.add(EmonHubMqttInterfacer, mqtt_host="broker.invalid", mqtt_user="me", mqtt_passwd="sesame")
    await until(lambda: "unencrypted" in caplog.text)
    await until(lambda: "broker.invalid is not known" in caplog.text)
    assert "sesame" not in caplog.text
    assert runner.restarts == 0
