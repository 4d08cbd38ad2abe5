"""The READMEs: the commands that they tell a user to type work, and the server prints what they
quote."""

import ast
import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from support import (
    LAYER,
    PATIENCE,
    ROOT,
    as_in_readme,
    commands_in,
    commands_of_section,
    readmes,
    run,
    running_make,
)

README, LAYER_README = readmes()
# Records how it is called, and does nothing.
NOTE = """#!/bin/sh
for word in "$(basename "$0")" "$PWD" "$@"; do printf '%s\\0' "$word"; done >>"$NOTES"
echo >>"$NOTES"
"""


class Notes:
    """Programs that record how they are called, in place of the real ones."""

    def __init__(self, folder):
        self.file = folder / "notes"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.file.touch()
        for name in "cargo", "make":
            self.put(self.bin / name)

    def put(self, path):
        path.write_text(NOTE)
        path.chmod(0o755)

    def run(self, *command, cwd):
        path = f"{self.bin}:{os.environ['PATH']}"
        environment = {"PATH": path, "NOTES": str(self.file), "HOME": os.environ["HOME"]}
        subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)

    def commands(self):
        """Returns the recorded calls, as commands that a user would type in the checkout."""
        for line in self.file.read_text().splitlines():
            program, folder, *words = line.rstrip("\0").split("\0")
            if words[:1] == ["-C"]:
                # Called from another directory: make its paths relative to the checkout.
                _, checkout, *words = words
                up = os.path.relpath(folder, Path(folder, checkout))
                words = [word.replace(f"={folder}/", f"={up}/") for word in words]
            yield " ".join([program, *words])


def run_by_ci(folder):
    """Returns what .ci/run runs if each program succeeds and nothing has passed before."""
    notes = Notes(folder)
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    shutil.copytree(ROOT / ".ci", checkout / ".ci", dirs_exist_ok=True)
    notes.put(checkout / ".ci/need")
    (checkout / ".ci/robot-passed").unlink()
    notes.run(checkout / ".ci/run", cwd=folder)
    return set(notes.commands())


def run_by_workflow(folder):
    """Returns the targets that the steps of the workflow run `make` for."""
    notes = Notes(folder)
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]
    for step in (step for job in jobs.values() for step in job["steps"]):
        if step.get("run", "").startswith("make "):
            notes.run("bash", "-euc", step["run"], cwd=folder)
    return set(notes.commands())


def run_by_bench(folder):
    """Returns the targets that `make bench` runs `make` for, from a dry run."""
    notes = Notes(folder)
    notes.run(
        *(
            shutil.which("make"),
            "--dry-run",
            f"MAKE={notes.bin}/make",
            f"--directory={ROOT}",
            "bench",
        ),
        cwd=folder,
    )
    return {f"make {target}" for command in notes.commands() for target in command.split()[1:]}


def run_by_tests(_folder):
    """Returns the commands from a README that tests run: the arguments of `as_in_readme`, and the
    commands of the sections passed to `commands_of_section`."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name("as_in_readme"), [ast.Constant(command)]):
                    found.add(command)
                case ast.Call(ast.Name("commands_of_section"), [ast.Constant(title)]):
                    found.update(commands_of_section(title))
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Returns all commands that something runs, by what runs them."""
    runners = (run_by_ci, run_by_workflow, run_by_bench, run_by_tests)
    by = {each.__name__: each(tmp_path_factory.mktemp("by")) for each in runners}
    assert all(by.values())
    return by


@pytest.mark.lint
@pytest.mark.parametrize("command", sorted({*commands_in(README), *commands_in(LAYER_README)}))
def test_command_is_run_somewhere(ran, command):
    assert any(command in commands for commands in ran.values()), ran


@pytest.mark.lint
def test_no_address_of_a_project_or_person_is_made_up():
    """Whoever publishes the project knows where it is published and by whom."""
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
@pytest.mark.parametrize("text", [README, LAYER_README], ids=["README", "layer"])
def test_links_lead_somewhere(text):
    folder = LAYER if text is LAYER_README else ROOT
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (folder / target).exists(), target


def output_of(command):
    """Returns the output that the README quotes after a command, in which … stands for any text."""
    _, after = README.split(f"```sh\n{command}\n```\n", 1)
    return re.search(r"```text\n(.*?)\n```", after, re.DOTALL)[1]


def test_make_run_serves_at_the_url_that_it_prints():
    _, expected = as_in_readme("curl http://127.0.0.1:33950/auth/hello")
    with running_make(as_in_readme("make run")[1]) as make:
        said = []
        for line in make.stdout:
            said.append(line)
            # Its own log line, because another server could be listening on the port.
            if "listening on http://127.0.0.1:33950" in line:
                break
        for quoted in output_of("make run").splitlines():
            words = ".*".join(map(re.escape, quoted.split("…")))
            assert any(re.fullmatch(words, line.rstrip("\n")) for line in said), (quoted, said)
        url = re.search(r"curl (http://\S+)", "".join(said))[1]
        assert url == expected
        answer = urllib.request.urlopen(url, timeout=PATIENCE).read()
        assert make.poll() is None, "".join(said)
        assert answer.decode() == output_of(f"curl {expected}")


def example(key):
    """Returns the JSON object with this key that the README shows."""
    objects = map(json.loads, re.findall(r"```json\n(.*?)```", README, re.DOTALL))
    return next(each for each in objects if key in each)


def shape(value):
    """Returns a value with the form of a time in place of each time, and 0 in place of each number,
    which no two runs have in common."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value):
        return "time"
    return 0 if isinstance(value, int) and not isinstance(value, bool) else value


def test_json_examples_are_what_the_console_prints(start, tmp_path):
    _, api = start()

    def console(*arguments):
        done = run(*arguments, "--json", "--persistence-directory", tmp_path / "state")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    console("user", "add", "bob", "--full-name", "Bob Babbage", "--account-type", "auditor")
    shown = console("user", "show", "bob")
    assert shape(example("fullName")) == shape(shown)
    assert console("user", "list", "--long") == [shown]
    api.create("ada")
    api.login("ada")
    [session] = console("session", "list")
    assert shape(example("renewed")) == shape(session)
    assert '`{"ended": 1}`' in README
    assert console("session", "end", session["id"]) == {"ended": 1}
    failed = run("user", "show", "eve", "--json", "--persistence-directory", tmp_path / "state")
    assert example("errors") == json.loads(failed.stderr.splitlines()[-1])
    directory = ("--persistence-directory", tmp_path / "state")
    done = run("user", "show", "eve", "--json", *directory)
    assert json.loads(done.stderr) == example("errors")


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    helped = subprocess.run(
        as_in_readme("make help"), cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert shown == helped
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^  {target}\s+\S", shown, re.MULTILINE), target


def test_make_clean_leaves_what_git_has(tmp_path):
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    for made in ("target/debug", ".venv/bin", ".state", "tests/layer/__pycache__"):
        (checkout / made).mkdir(parents=True)
        (checkout / made / "file").touch()
    subprocess.run([*as_in_readme("make clean"), "--silent"], cwd=checkout, check=True)
    command = ["git", "status", "--porcelain", "--ignored"]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    assert done.stdout == ""
