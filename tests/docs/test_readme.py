"""The READMEs: what they tell a user to type works, what they say the server says, it says."""

import os
import re
import signal
import subprocess
import urllib.request

import pytest

from support import LAYER, PATIENCE, ROOT, wait_for

README = (ROOT / "README.md").read_text()
LAYER_README = (LAYER / "README.md").read_text()
SOURCES = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.rs")))
# Commands that another file runs, and which.
RUN_BY = {
    "make test": ".ci/run",
    "make lint": ".ci/run",
    "make format": ".ci/run",
    "make generate": ".ci/run",
    "make build": ".ci/run",
    "make build-aarch64": ".ci/run",
    "make install DESTDIR=/tmp/robot": ".ci/run",
    "make cross": ".github/workflows/ci.yaml",
}
# Commands that tests in this file run.
RUN_HERE = {"make run", "curl http://127.0.0.1:33950/auth/hello", "make help", "make clean"}
# Commands that need a robot or an OE-core checkout.
ELSEWHERE = {
    "make push-ot3 host=ROBOT",
    "git clone https://github.com/Opentrons/auth-server.git ../auth-server",
    "bitbake-layers add-layer ../auth-server/meta-auth-server",
    "bitbake-layers remove-layer meta-auth-server",
    "bitbake opentrons-auth-server",
}


def commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()


def logged(text):
    return re.findall(r"^\| log: `([^`]*)`", text, re.MULTILINE)


@pytest.mark.lint
@pytest.mark.parametrize("command", sorted(set(commands(README)) | set(commands(LAYER_README))))
def test_command_is_run_somewhere(command):
    if command not in RUN_HERE | ELSEWHERE:
        file = RUN_BY[command]
        lines = {line.strip() for line in (ROOT / file).read_text().splitlines()}
        assert any(line.endswith(command) for line in lines), f"{file} does not run it"


@pytest.mark.lint
@pytest.mark.parametrize("text", logged(README))
def test_symptom_is_what_the_server_logs(text):
    for part in filter(None, (part.strip() for part in text.split("…"))):
        assert part in SOURCES


@pytest.mark.lint
@pytest.mark.parametrize("text", [README, LAYER_README], ids=["README", "layer"])
def test_links_lead_somewhere(text):
    folder = LAYER if text is LAYER_README else ROOT
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (folder / target).exists(), target


def test_make_run_serves_at_the_url_that_it_prints():
    make = subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        url = None
        for line in make.stdout:
            url = re.search(r"curl (http://\S+)", line)
            if url:
                break
        assert f"curl {url[1]}" in RUN_HERE

        def answers():
            assert make.poll() is None
            try:
                return urllib.request.urlopen(url[1], timeout=PATIENCE).read()
            except OSError:
                return None

        assert wait_for(answers, "an answer") == b'{"message":"hello world"}'
    finally:
        # As Ctrl-C does: to make and to the server.
        os.killpg(make.pid, signal.SIGINT)
        make.stdout.close()
        make.wait(PATIENCE)


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    helped = subprocess.run(
        ["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert shown == helped
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE):
        assert re.search(rf"^  {target}\s+\S", shown, re.MULTILINE), target


def test_make_clean_leaves_what_git_has(tmp_path):
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    for made in ("target/debug", ".venv/bin", ".state", "tests/layer/__pycache__"):
        (checkout / made).mkdir(parents=True)
        (checkout / made / "file").touch()
    subprocess.run(["make", "--silent", "clean"], cwd=checkout, check=True)
    command = ["git", "status", "--porcelain", "--ignored"]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    assert done.stdout == ""
