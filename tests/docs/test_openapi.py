"""The OpenAPI document as other people's programs read it: a linter and generators of clients, none of
which has anything to complain of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

DOCUMENT = ROOT / "src/http/docs/openapi.json"
NODE = ROOT / ".venv/node/node_modules/.bin"
GENERATOR = Path(sys.executable).parent / "openapi-generator-cli"
PATIENCE = 300

pytestmark = pytest.mark.lint


def node(name):
    """Returns the path of a program that npm installed."""
    if not (NODE / name).exists():
        pytest.skip(f"{name} is not installed: make lint installs it with npm")
    return NODE / name


def run(*command, cwd):
    """Runs a program, and returns all that it prints."""
    # Nobody is told that the program was run.
    environment = {
        **os.environ,
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_redocly_finds_nothing(tmp_path):
    # That rule wants an error of each operation; those without input or access control have none.
    config = "extends: [recommended]\nrules: {operation-4xx-response: off}\n"
    (tmp_path / "redocly.yaml").write_text(config)
    said = run(node("redocly"), "lint", "--format=summary", DOCUMENT, cwd=tmp_path)
    assert "Your API description is valid" in said and "You have" not in said, said


def test_types_for_typescript(tmp_path):
    types = tmp_path / "api.ts"
    said = run(node("openapi-typescript"), DOCUMENT, "--output", types, cwd=tmp_path)
    assert "⚠" not in said and "warn" not in said.lower(), said
    use = tmp_path / "use.ts"
    use.write_text(
        'import type { components, operations } from "./api";\n'
        'const user: components["schemas"]["User"]["accountType"] = "admin";\n'
        'type Body = operations["createUser"]["requestBody"]["content"]["application/json"];\n'
        "export const body: Body = "
        '{ data: { username: "ada", fullName: "Ada", accountType: user } };\n'
    )
    run(node("tsc"), "--noEmit", "--strict", use, cwd=tmp_path)


def test_client_of_openapi_generator(tmp_path):
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    said = run(GENERATOR, "validate", "--recommend", "--input-spec", DOCUMENT, cwd=tmp_path)
    assert "No validation issues detected." in said, said
    client = tmp_path / "client"
    arguments = ("generate", "--generator-name", "typescript-fetch", "--output", client)
    said = run(GENERATOR, *arguments, "--input-spec", DOCUMENT, cwd=tmp_path)
    complaints = [line for line in said.splitlines() if " WARN " in line or " ERROR " in line]
    # It says of every document of this version that its support is in beta.
    assert [line for line in complaints if "OpenAPI 3.1 support is still in beta" not in line] == []
    run(
        node("tsc"), "--noEmit", "--strict", "--target", "es2020", client / "index.ts", cwd=tmp_path
    )
