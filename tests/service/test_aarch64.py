"""The robot's binary, built by `make build-aarch64`, under user-mode emulation."""

import os
import re
import shutil
import subprocess

import pytest

import support
from support import ROOT

AARCH64 = ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
READELF = shutil.which("aarch64-linux-gnu-readelf")
LIBRARIES = "/usr/aarch64-linux-gnu"
GLIBC = (2, 39)  # glibc version of scarthgap
MIB = 1024 * 1024

pytestmark = [
    pytest.mark.skipif(not QEMU, reason="qemu-aarch64 is not installed"),
    pytest.mark.skipif(
        not (READELF and os.path.isdir(LIBRARIES)), reason="aarch64-linux-gnu-gcc is not installed"
    ),
    pytest.mark.skipif(not AARCH64.exists(), reason="needs the binary of `make build-aarch64`"),
]


@pytest.fixture
def emulated(tmp_path, monkeypatch):
    """Makes `serve` start the robot's binary."""
    script = tmp_path / "emulated"
    script.write_text(f'#!/bin/sh\nexec {QEMU} -L {LIBRARIES} {AARCH64} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(support, "BINARY", script)
    return script


def test_it_serves(emulated, serve):
    server = serve("--workers", 1).wait_ready()
    assert server.request("GET", "/auth/hello").json == {"message": "hello world"}
    assert server.stop() == 0


def test_it_is_built_for_the_robot(emulated):
    output = subprocess.run([emulated, "--version"], check=True, capture_output=True, text=True)
    assert "aarch64-unknown-linux-gnu" in output.stdout


def test_size(figures):
    size = AARCH64.stat().st_size
    figures(f"aarch64 binary, stripped: {size:,} bytes")
    assert size <= 4.25 * MIB


def test_it_needs_no_newer_c_library_than_the_robots():
    symbols = subprocess.run(
        [READELF, "--version-info", AARCH64], check=True, capture_output=True, text=True
    ).stdout
    needed = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_(\d+\.\d+)", symbols)}
    assert needed and max(needed) <= GLIBC
