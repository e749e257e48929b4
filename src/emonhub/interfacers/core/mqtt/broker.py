"""Which broker, as whom, and how safely: all that goes into opening a connection."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from emonhub import SettingError, Unavailable


@dataclass(frozen=True, slots=True)
class Tls:
    """How the broker proves who it is, and we who we are. Empty texts where the default holds.

    ca_certs     file with the certificates of those who may vouch for the broker; empty = the system's
    certfile     our own certificate, for brokers that ask for one
    keyfile      its key, where that is not in the same file
    server_name  the name that must stand in the broker's certificate; empty = the host's
    insecure     the name in the certificate is not checked (who vouches for it always is)
    """

    ca_certs: str = ""
    certfile: str = ""
    keyfile: str = ""
    server_name: str = ""
    insecure: bool = False

    def check(self) -> None:
        """Raises SettingError for what would look safe and not be it."""
        if self.keyfile and not self.certfile:
            raise SettingError("mqtt_tls_keyfile needs mqtt_tls_certfile beside it")
        if self.insecure and not self.ca_certs:
            raise SettingError(
                "mqtt_tls_insecure = 1 without mqtt_tls_ca_certs would accept anybody's certificate: name the broker's "
                "own CA in mqtt_tls_ca_certs, or the name in its certificate in mqtt_tls_server_name"
            )

    def context(self) -> ssl.SSLContext:
        """Made anew for each connection, so that renewed certificates are used. Raises Unavailable."""
        for setting, path in (
            ("mqtt_tls_ca_certs", self.ca_certs),
            ("mqtt_tls_certfile", self.certfile),
            ("mqtt_tls_keyfile", self.keyfile),
        ):
            if path and not Path(path).exists():
                raise Unavailable(f"{setting}: there is no {path}")
        try:
            context = ssl.create_default_context(cafile=self.ca_certs or None)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile or None, password=_no_password)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the TLS files can't be used: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = not self.insecure
        return context


def _no_password() -> str:
    raise ValueError("mqtt_tls_keyfile is encrypted: a hub that starts by itself needs one without a password")


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and our standing with it. Interfacers for which all of this is equal share one connection.

    protocol      "5", "3.1.1", or "auto": 5 unless the broker does not know it
    client_id     empty = made up, for as long as the connection is used
    session_s     how long the broker keeps what it owes us while we are away, seconds; 0 = a clean session
    status_topic  keeps `online` or, by the last will, `offline`; empty = none
    owner         an interfacer's name when it wants the connection for itself, else empty
    """

    host: str
    port: int
    user: str = ""
    password: str = ""
    protocol: str = "auto"
    client_id: str = ""
    session_s: int = 0
    keepalive_s: int = 15
    tls: Tls | None = None
    status_topic: str = ""
    longest_wait_s: float = 30.0
    owner: str = ""

    def __str__(self) -> str:
        how = "" if self.tls is None else " with TLS" + (", host name not checked" if self.tls.insecure else "")
        return f"{self.host}:{self.port}{how}"

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, where trying again costs nothing."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
