"""Certificates of servers, made by openssl."""

import ipaddress
import subprocess
from pathlib import Path

from rig.stage import Stage


def make_certificate(stage: Stage, name: str) -> tuple[Path, Path]:
    """One for a host's name or address, signed by itself: what whoever is to trust it is given, and the same with its key."""
    key, certificate, both = (stage.path(file) for file in ("key.pem", "certificate.pem", "both.pem"))
    try:
        ipaddress.ip_address(name)
        kind = "IP"
    except ValueError:
        kind = "DNS"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=zegohub", "-addext", f"subjectAltName={kind}:{name}", "-days", "2"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    both.write_text(certificate.read_text() + key.read_text())
    return certificate, both
