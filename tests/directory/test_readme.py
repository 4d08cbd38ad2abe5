"""The README's section for the lab's IT: its configuration and its commands are taken, and the fields are
those that there are."""

import json
import re
import shlex

from support import ROOT, readmes, run

SECTION = readmes()[0].split("\n## The lab's directory\n")[1].split("\n## ")[0]
PROGRAM = "opentrons-auth-server "


def configuration():
    """Returns the configuration that the README shows."""
    return json.loads(re.search(r"```json\n(.*?)```", SECTION, re.DOTALL)[1])["data"]


def commands():
    """Returns the console's commands that the README shows, as lists of words."""
    block = re.search(r"```\n(opentrons-auth-server directory .*?)```", SECTION, re.DOTALL)[1]
    lines = block.replace("\\\n", " ").splitlines()
    assert lines and all(line.startswith(PROGRAM) for line in lines)
    return [shlex.split(line.removeprefix(PROGRAM)) for line in lines]


def defaults():
    """Returns the fields of the README's table with their defaults."""
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", SECTION.split("### What then")[0], re.MULTILINE)
    fields = [(re.findall(r"`(\w+)`", names), default) for names, default in rows]
    return {name: default.strip() for names, default in fields for name in names}


def test_configuration_is_taken(start, authority):
    _, api = start()
    given = configuration() | {"ca": authority.pem}
    answer = api.request("PUT", "/auth/directory?test=false", given)
    assert answer.status == 200, answer.body
    shown = api.get("/auth/directory").json["data"]
    del given["bindPassword"]
    assert shown.items() >= given.items()
    table = defaults()
    for name in shown.keys() - given.keys():
        assert table[name].split(";")[0].strip("`") == str(shown[name]), name


def test_table_has_every_field():
    document = json.loads((ROOT / "src/http/docs/openapi.json").read_text())
    fields = document["components"]["schemas"]["NewDirectory"]["properties"]
    assert set(fields) <= set(defaults())


def test_commands_are_taken(tmp_path, authority):
    """With --no-test, because the README's domain controllers do not exist."""
    (tmp_path / "lab-ca.pem").write_text(authority.pem)
    (tmp_path / "state").mkdir()

    def console(*words):
        state = ("--persistence-directory", tmp_path / "state")
        return run(*words, *state, cwd=tmp_path, input="secret-horse\n")

    for words in commands():
        if words[1] == "set":
            words.append("--no-test")
        if words[1] == "remove":
            words.append("--yes")
        done = console(*words)
        if words[1] == "test":
            assert done.returncode == 1 and "opentrons-auth-directory" in done.stderr, done.stderr
        else:
            assert done.returncode == 0, (words, done.stderr)
    assert console("directory", "show").returncode == 3


def test_configuration_is_copied_from_one_robot_to_another(tmp_path, authority):
    """By the commands of the README."""
    copied = re.search(
        r"`(directory show --json) > (\S+)` .*?`(directory set.*?)`", SECTION, re.DOTALL
    )
    show, file, set_ = copied[1].split(), copied[2], copied[3].split()
    (tmp_path / "lab-ca.pem").write_text(authority.pem)
    for state in ("one", "two"):
        (tmp_path / state).mkdir()

    def console(state, *words):
        done = run(
            *words,
            *("--persistence-directory", tmp_path / state),
            cwd=tmp_path,
            input="secret-horse\n",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    console("one", *commands()[0], "--no-test")
    (tmp_path / file).write_text(console("one", *show))
    console("two", *set_, "--no-test")
    assert console("two", *show) == console("one", *show)
