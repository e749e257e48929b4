"""Certificates for tests, made with the openssl command: a private CA, and what it vouches for."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """A private CA in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")
        self._folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._run(
            f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} "
            f"-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign "
            f"-keyout {self._key} -out {self.certificate}"
        )

    def issue(self, name: str, san: str = "IP:127.0.0.1,DNS:localhost", *, days: int = 1) -> tuple[Path, Path]:
        """Files with a certificate and its key. It has expired already when `days` is negative."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={san}\n")
        self._run(
            f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {key} -out {request}"
        )
        self._run(
            f"x509 -req -in {request} -CA {self.certificate} -CAkey {self._key} -CAcreateserial -days {days} "
            f"-extfile {extensions} -out {certificate}"
        )
        if os.geteuid() == 0:
            key.chmod(0o644)  # the broker drops its rights
        return certificate, key

    def _run(self, command: str) -> None:
        subprocess.run([self._openssl, *command.split()], check=True, capture_output=True)
