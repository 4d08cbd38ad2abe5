"""The layer, as far as it can be tested without OE-core; `make test-layer` is the proof."""

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import re
import tomllib
from pathlib import Path

import pytest

import recipe
from support import (
    DIRECTORY_FILES,
    FILES,
    LAYER,
    RECIPES,
    ROOT,
    installed,
    installed_directory,
    run,
)

pytestmark = pytest.mark.lint
SERVER, DIRECTORY = "opentrons-auth-server", "opentrons-auth-directory"
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())
WORKFLOW = (ROOT / ".github/workflows/ci.yaml").read_text()
CRATES = {
    f"{crate['name']}-{crate['version']}": crate["checksum"]
    for crate in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    if "checksum" in crate
}


@pytest.fixture
def parsed(tmp_path):
    return recipe.parse(tmp_path)


@pytest.fixture(params=[SERVER, DIRECTORY])
def each_parsed(tmp_path, request):
    """Each of the recipes."""
    return recipe.parse(tmp_path, request.param)


@pytest.fixture
def crates():
    """Returns cargo's directories of downloaded crates."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return list((home / "registry/cache").iterdir())


def test_all_recipes_are_tested():
    assert {path.parent.name for path in RECIPES.glob("*/*.bb")} == {SERVER, DIRECTORY}


def test_recipe_is_of_the_crates_version(each_parsed):
    assert each_parsed.getVar("PV") == CARGO["package"]["version"]


def test_versions_agree():
    version = CARGO["package"]["version"]
    assert run("--version").stdout.split()[1].startswith(version)
    assert f"opentrons-auth-server {version}" in (FILES / "man/opentrons-auth-server.8").read_text()


def test_layer_is_above_the_robots():
    conf = (LAYER / "conf/layer.conf").read_text()
    priority = re.search(
        r'^BBFILE_PRIORITY_opentrons-auth-server-layer = "(\d+)"', conf, re.MULTILINE
    )
    assert int(priority[1]) > 8, "the robot's distro layer has 8 and a recipe of the same name"


def test_all_compatible_releases_are_built_by_the_workflow_and_named_in_the_readme():
    conf = (LAYER / "conf/layer.conf").read_text()
    compatible = re.search(r'^LAYERSERIES_COMPAT_\S+ = "(.+)"$', conf, re.MULTILINE)[1].split()
    assert re.findall(r"- release: (\w+)", WORKFLOW) == compatible
    for readme in (ROOT / "README.md", LAYER / "README.md"):
        for release in compatible:
            assert release in readme.read_text(), f"{readme} does not name {release}"


def test_workflow_tests_with_the_robots_compiler():
    version = CARGO["package"]["rust-version"]
    assert f"RUSTUP_TOOLCHAIN: {version}.0\n" in WORKFLOW


def test_licence_is_the_checkouts(each_parsed):
    checksum = each_parsed.getVar("LIC_FILES_CHKSUM")
    name, md5 = re.fullmatch(r"file://(\S+);md5=(\w+)", checksum).groups()
    source = Path(each_parsed.getVar("EXTERNALSRC"))
    assert source == ROOT
    assert hashlib.md5((source / name).read_bytes()).hexdigest() == md5


def test_licence_is_that_of_all_that_is_linked(parsed):
    """`crates-inc --check` compares the whole list. This test names a linked crate for each
    licence."""
    licences = set(parsed.getVar("LICENSE").split(" & "))
    linked = {
        "auth-server": "Apache-2.0",
        "tokio": "MIT",
        "subtle": "BSD-3-Clause",
        "foldhash": "Zlib",
        "idna_mapping": "Unicode-3.0",
    }
    assert licences == set(linked.values())
    module = crates_inc()
    lines = module.linked(SERVER).splitlines()
    for crate, licence in linked.items():
        line = next(line for line in lines if line.startswith(f"{crate} v"))
        assert licence in module.license_inc(line).split('"')[1].split(" & "), line


def test_licence_of_the_directory_is_that_of_more_crates(tmp_path):
    """Of all that is linked into the auth server, and of what only the other feature needs."""
    licences = recipe.parse(tmp_path, DIRECTORY).getVar("LICENSE").split(" & ")
    assert set(licences) >= set(recipe.parse(tmp_path, SERVER).getVar("LICENSE").split(" & "))
    assert "\nldap3 v" in crates_inc().linked(DIRECTORY)
    assert "\nldap3 v" not in crates_inc().linked(SERVER)


def test_image_without_the_directory_needs_neither_openssl_nor_the_feature(parsed, tmp_path):
    """Neither OpenSSL nor the feature belongs to the auth server's recipe; the other one, which has
    both, needs the auth server, whose user its socket belongs to."""
    other = recipe.parse(tmp_path, DIRECTORY)
    assert "openssl" not in parsed.getVar("DEPENDS").split()
    assert "directory" not in parsed.getVar("CARGO_BUILD_FLAGS")
    assert not parsed.getVar(f"RDEPENDS:{SERVER}")
    assert "openssl" in other.getVar("DEPENDS").split()
    assert other.getVar(f"RDEPENDS:{DIRECTORY}").split() == [SERVER]
    flags = other.getVar("CARGO_BUILD_FLAGS").split()
    assert flags == ["--no-default-features", "--features", "directory", "--bin", DIRECTORY]


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("MIT", "MIT"),
        ("MIT OR Apache-2.0", "Apache-2.0"),
        ("Unlicense/MIT", "MIT"),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", "Apache-2.0"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0-with-LLVM-exception"),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 & Unicode-3.0"),
        ("MIT OR (Zlib AND ISC)", "MIT"),
        ("Zlib AND ISC OR BSD-3-Clause", "BSD-3-Clause"),
    ],
)
def test_licence_of_a_crate(expression, taken):
    text = crates_inc().license_inc(f"crate v1.0.0: {expression}\n")
    assert text.endswith(f'LICENSE = "{taken}"\n')


@pytest.mark.parametrize("expression", ["", "MIT OR", "(MIT", "MIT)", "MIT Zlib", "AND MIT"])
def test_crate_without_a_licence_is_named(expression):
    with pytest.raises(SystemExit, match=r"licence of crate v1\.0\.0"):
        crates_inc().license_inc(f"crate v1.0.0: {expression}\n")


def crates_inc():
    path = str(LAYER / "scripts/crates-inc")
    loader = importlib.machinery.SourceFileLoader("crates_inc", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("crates_inc", loader))
    loader.exec_module(module)
    return module


def test_crates_and_checksums_are_the_lock_files(each_parsed):
    uris = [uri.split("/") for uri in each_parsed.getVar("SRC_URI").split()]
    assert {f"{name}-{version}" for *_, name, version in uris} == set(CRATES)
    sums = {name: each_parsed.getVarFlag("SRC_URI", f"{name}.sha256sum") for name in CRATES}
    assert sums == CRATES


def test_crates_are_fetched_and_unpacked(parsed, crates):
    unpacked = recipe.fetch_and_unpack(parsed, crates)
    assert {path.name for path in unpacked.iterdir()} == set(CRATES)
    checksums = unpacked / "serde_json-{}/.cargo-checksum.json".format(
        next(name.removeprefix("serde_json-") for name in CRATES if name.startswith("serde_json-"))
    )
    assert json.loads(checksums.read_text())["package"] in CRATES.values()


def test_changed_crate_is_refused(parsed, crates, tmp_path):
    recipe.fetch_and_unpack(parsed, crates)
    forged = tmp_path / "downloads" / f"{next(iter(CRATES))}.crate"
    forged.write_bytes(b"forged")
    for done in forged.parent.glob("*.done"):
        done.unlink()
    recipe.bb.fetch2.urldata_cache.clear()
    with pytest.raises(recipe.bb.fetch2.BBFetchException):
        recipe.fetch_and_unpack(parsed, [])


RELEASE = {
    "AUTH_SERVER_TAG": "v1.0.0",
    "AUTH_SERVER_GIT": "git://git.example/auth-server.git;protocol=https",
    "SRCREV": "0123456789abcdef0123456789abcdef01234567",
}


def git_uris(parsed):
    return [uri for uri in parsed.getVar("SRC_URI").split() if uri.startswith("git://")]


@pytest.mark.parametrize("name", [SERVER, DIRECTORY])
def test_release_is_fetched_by_its_commit(tmp_path, name):
    """By a name, BitBake would have to query the server at each parse."""
    parsed = recipe.parse(tmp_path, name, **RELEASE)
    (uri,) = git_uris(parsed)
    assert uri.startswith(f"{RELEASE['AUTH_SERVER_GIT']};") and "tag=" not in uri
    assert not parsed.getVar("EXTERNALSRC")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"SRCREV": ""}, "SRCREV:pn-opentrons-auth-server"),
        ({"SRCREV": "v1.0.0"}, "SRCREV:pn-opentrons-auth-server"),
        ({"SRCREV": "AUTOINC"}, "SRCREV:pn-opentrons-auth-server"),
        ({"AUTH_SERVER_GIT": ""}, "AUTH_SERVER_GIT"),
    ],
)
def test_half_a_release_is_refused_when_it_is_fetched(tmp_path, change, named):
    parsed = recipe.parse(tmp_path, **RELEASE | change)
    assert git_uris(parsed) == []
    assert named in recipe.missing(parsed)


def test_complete_settings_are_not_refused(parsed, tmp_path):
    assert recipe.missing(parsed) == ""
    assert recipe.missing(recipe.parse(tmp_path, **RELEASE)) == ""


NAMED = [
    (path, name)
    for path in (
        path for ending in ("bb", "bbappend", "inc") for path in LAYER.rglob(f"*.{ending}")
    )
    for name in re.findall(r"file://([^\s;\"$]+)", path.read_text())
]


def test_files_that_recipes_name_exist():
    assert {"LICENSE", "include-auth-server", "include-auth-server.py"} <= {n for _, n in NAMED}
    for path, name in NAMED:
        # The licence is that of the checkout, not of the layer.
        folder = ROOT if name == "LICENSE" else path.parent / "files"
        assert (folder / name).is_file(), path


@pytest.mark.parametrize("name", [SERVER, DIRECTORY])
def test_makefile_installs_every_file_of_the_recipe(tmp_path, name):
    if name == SERVER:
        folder, files = installed(tmp_path), FILES
    else:
        program = tmp_path / "program"
        program.touch()
        folder, files = installed_directory(tmp_path, program), DIRECTORY_FILES
    tree = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    files = [path for path in files.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.read_bytes() in tree, f"{path} is not installed"
