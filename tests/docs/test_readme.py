"""The READMEs: what they tell a user to type works, what they say the server says, it says."""

import re
import subprocess
import urllib.request

import pytest

from support import LAYER, PATIENCE, ROOT, running_make

README = (ROOT / "README.md").read_text()
LAYER_README = (LAYER / "README.md").read_text()
SOURCES = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.rs")))
# Commands that another file runs, and how it says so.
CI = ".ci/run"
WORKFLOW = ".github/workflows/ci.yaml"
BITBAKE = "tests/bitbake/test_bitbake.py"
BINARY = "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
INSTALL = f"make install DESTDIR=/tmp/robot BINARY={BINARY}"
RUN_BY = {
    "make test": (CI, "\nmake test\n"),
    "make lint": (CI, "\nmake lint\n"),
    "make format": (CI, "\nmake format\n"),
    "make generate": (CI, "\nmake generate\n"),
    "make build": ("Makefile", "\t$(MAKE) build build-aarch64\n"),
    "make build-aarch64": (CI, "\nmake build-aarch64\n"),
    "make test-robot": (".ci/robot", "\nmake test-robot |"),
    INSTALL: (CI, f"\n{INSTALL}\n"),
    "make cross": (WORKFLOW, "run: make cross\n"),
    "make test-layer OE_CORE=../openembedded-core BITBAKE=../bitbake META_OE=../meta-openembedded": (
        WORKFLOW,
        "make -C auth-server test-layer",
    ),
    "make bench": (WORKFLOW, "run: make bench\n"),
    "make robot": ("tests/robot/test_make_robot.py", 'running_make("robot"'),
    "make push-ot3 host=ROBOT": ("tests/robot/test_push.py", '"push-ot3", "host=127.0.0.1"'),
    "bitbake-layers add-layer ../auth-server/meta-auth-server": (BITBAKE, '"add-layer"'),
    "bitbake-layers remove-layer meta-auth-server": (BITBAKE, '"remove-layer"'),
    "bitbake opentrons-auth-server": (BITBAKE, "build.bitbake(NAME)"),
}
# Commands of the console, which tests/console/test_console.py runs as they stand here.
CONSOLE = "opentrons-auth-server "
# Commands that tests in this file run.
RUN_HERE = {"make run", "curl http://127.0.0.1:33950/auth/hello", "make help", "make clean"}


def commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()


def logged(text):
    return re.findall(r"^\| log: `([^`]*)`", text, re.MULTILINE)


@pytest.mark.lint
@pytest.mark.parametrize("command", sorted(set(commands(README)) | set(commands(LAYER_README))))
def test_command_is_run_somewhere(command):
    if command not in RUN_HERE and not command.startswith(CONSOLE):
        file, text = RUN_BY[command]
        assert text in (ROOT / file).read_text(), f"{file} does not run it"


@pytest.mark.lint
def test_no_address_of_a_project_or_person_is_made_up():
    """Where the project is published, and by whom, whoever publishes it knows."""
    for path in (
        ROOT / "README.md",
        *LAYER.rglob("*.md"),
        *LAYER.rglob("*.bb"),
        *LAYER.rglob("*.inc"),
    ):
        text = path.read_text()
        assert "github.com/Opentrons" not in text, path
        assert not re.search(r"\b[\w.+-]+@[\w.-]+\.[a-z]{2}", text), path


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
    with running_make("run") as make:
        said = []
        for line in make.stdout:
            said.append(line)
            # Its own word, so that another server at the port is not taken for it.
            if "listening on http://127.0.0.1:33950" in line:
                break
        url = re.search(r"curl (http://\S+)", "".join(said))[1]
        assert f"curl {url}" in RUN_HERE
        answer = urllib.request.urlopen(url, timeout=PATIENCE).read()
        assert make.poll() is None, "".join(said)
        assert answer == b'{"message":"hello world"}'


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
