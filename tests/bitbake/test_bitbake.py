"""The layer under real BitBake: parsed, chosen, built and packaged; and refused when it is wrong."""

import re
import shutil
import subprocess

import pytest

from oe_build import MASK, Build, call
from support import installed, request, wait_for

NAME = "opentrons-auth-server"
GLIBC = (2, 39)  # the robot's
TOOLCHAIN = ("meta-toolchain",)
WITH_DISTRO = ("meta-toolchain", "meta-distro")


@pytest.fixture(scope="module")
def built(bench):
    """A build from do_fetch to do_package_write_ipk."""
    build = Build(bench, "whole", TOOLCHAIN)
    build.bitbake(NAME)
    return build


@pytest.fixture(scope="module")
def packages(built, tmp_path_factory):
    """Per package: its files, as (mode, owner) by path, and the folder it is unpacked in."""
    found = {}
    for ipk in built.tmp.glob("deploy/ipk/*/*.ipk"):
        if not ipk.name.startswith(NAME):
            continue
        folder = tmp_path_factory.mktemp("ipk")
        for part in ("data", "control"):
            (folder / part).mkdir()
            archive = subprocess.run(
                ["ar", "p", ipk, f"{part}.tar.gz"], check=True, capture_output=True
            ).stdout
            command = ["tar", "-xzv", "--same-permissions", "-C", folder / part]
            subprocess.run(command, input=archive, check=True, capture_output=True)
            if part == "data":
                listing = subprocess.run(
                    ["tar", "-tvz"], input=archive, check=True, capture_output=True
                ).stdout.decode()
        files = {}
        for line in listing.splitlines():
            mode, owner, _, _, _, path = line.split(maxsplit=5)
            if mode[0] != "d":
                files[path.removeprefix(".")] = (mode, owner)
        found[ipk.name.split("_")[0].removeprefix(NAME)] = (files, folder)
    return found


def variable(build, name, recipe=NAME):
    text = build.bitbake("-e", recipe)
    return re.search(rf'^{name}="(.*)"$', text, re.MULTILINE)[1]


def test_parses_alone(bench):
    """With all of OE-core and nothing else."""
    assert "0 errors" in Build(bench, "alone").bitbake("-p")


def test_parses_with_the_webserver_layer(bench):
    """Its own nginx, whose bbappend is ours."""
    mask = f'BBMASK = "{MASK.replace(" /meta-webserver/recipes-", "")}"'
    build = Build(bench, "webserver", ("meta-distro",), mask)
    assert "0 errors" in build.bitbake("-p")
    text = build.run("bitbake-layers", "show-appends")
    assert re.search(r"nginx_1\.24\.0\.bb:\n(\s+\S+\n)*\s+\S+meta-auth-server/", text), text


def test_ours_is_chosen_before_a_higher_version_of_the_distro(bench):
    build = Build(bench, "chosen", WITH_DISTRO)
    assert variable(build, "FILE") == str(build.recipe)


@pytest.mark.parametrize("layers", [TOOLCHAIN, WITH_DISTRO], ids=["webserver", "distro"])
def test_every_nginx_configuration_has_auth_once(bench, layers):
    build = Build(bench, f"nginx-{len(layers)}", layers)
    build.bitbake("-c", "install", "nginx")
    (etc,) = build.tmp.glob("work/*/nginx/*/image/etc/nginx")
    servers = [*etc.glob("nginx-http*.conf"), *etc.glob("sites-available/*")]
    assert len(servers) == len(layers)  # one of meta-webserver's, or two of the distro's
    for server in servers:
        text = server.read_text()
        auth = re.findall(r"location /auth|include \S*/server-conf\.d/opentrons-auth-server", text)
        assert len(auth) == 1, text


def test_layer_passes_yocto_check_layer(bench):
    build = Build(bench, "check", ours=False)
    build.run("yocto-check-layer", "--no-auto-dependency", build.checkout / "meta-auth-server")


def test_commands_of_the_readme_add_and_remove_the_layer(bench):
    build = Build(bench, "commands", TOOLCHAIN, ours=False)
    build.run("bitbake-layers", "add-layer", build.checkout / "meta-auth-server")
    assert variable(build, "FILE") == str(build.recipe)
    build.run("bitbake-layers", "remove-layer", "meta-auth-server")
    assert "meta-auth-server" not in build.run("bitbake-layers", "show-layers")


def test_packages_hold_what_make_install_does(packages, tmp_path):
    binary = tmp_path / "binary"
    binary.touch()
    tree = installed(tmp_path / "tree", binary)
    expected = {
        f"/{path.relative_to(tree)}": "-rwxr-xr-x" if path.stat().st_mode & 0o111 else "-rw-r--r--"
        for path in tree.rglob("*")
        if path.is_file()
    }
    packaged = {}
    for name, (files, _) in packages.items():
        if name not in ("-dbg", "-dev"):
            packaged.update(files)
    assert {owner for _, owner in packaged.values()} == {"root/root"}
    preset = f"/usr/lib/systemd/system-preset/98-{NAME}.preset"
    assert {path: mode for path, (mode, _) in packaged.items() if path != preset} == expected
    assert set(packages["-doc"][0]) == {f"/usr/share/man/man1/{NAME}.1"}
    assert all(path.startswith("/usr/share/") for path in packages["-completions"][0])


def test_version_file_is_in_the_sysroot_and_not_in_the_image(built, packages):
    path = f"opentrons_versions/{NAME}-version.json"
    (file,) = built.tmp.glob(f"sysroots-components/*/{NAME}/{path}")
    safe = f"safe.directory={built.checkout}"
    sha = call("git", "-c", safe, "rev-parse", "HEAD", cwd=built.checkout).stdout.strip()
    assert f'"auth_server_sha": "{sha}"' in file.read_text()
    assert set(packages["-dev"][0]) == {f"/{path}"}


def test_postinst_enables_the_units_and_preinst_adds_the_user(packages):
    control = packages[""][1] / "control"
    assert f"{NAME}.socket {NAME}.service" in (control / "postinst").read_text()
    assert re.search(rf"--system .*--no-create-home.* {NAME}", (control / "preinst").read_text())


def test_sqlite_is_the_distributions(packages):
    """Which mends it, and the binary does not bring its own."""
    _, folder = packages[""]
    dynamic = call("aarch64-linux-gnu-objdump", "-p", folder / "data/usr/bin" / NAME).stdout
    assert re.search(r"NEEDED +libsqlite3\.so\.0", dynamic)
    control = (folder / "control/control").read_text()
    assert re.search(r"^Depends: .*sqlite3", control, re.MULTILINE)


def test_binary_runs_and_needs_no_newer_glibc(built, packages, tmp_path):
    if not shutil.which("qemu-aarch64"):
        pytest.skip("qemu-aarch64 is not installed")
    binary = packages[""][1] / "data/usr/bin" / NAME
    symbols = call("aarch64-linux-gnu-objdump", "-T", binary).stdout
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([0-9.]+)", symbols)}
    assert versions and max(versions) <= GLIBC
    socket = tmp_path / "auth.sock"
    (sqlite,) = built.tmp.glob("sysroots-components/*/sqlite3/usr/lib")
    emulator = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", f"LD_LIBRARY_PATH={sqlite}"]
    server = subprocess.Popen(
        [*emulator, binary, "--uds", socket],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists, "the server listens")
        assert request(socket, "GET", "/auth/hello").status == 200
    finally:
        server.terminate()
        assert server.wait() == 0


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


def test_missing_crate_fails_the_build(bench):
    build = Build(bench, "crate", TOOLCHAIN)
    crates = build.recipe.parent / f"{NAME}-crates.inc"
    edit(crates, r"    crate://crates.io/actix-rt/\S+ \\\n", "")
    assert "actix-rt" in build.bitbake("-c", "compile", NAME, check=False)


def test_wrong_checksum_of_a_crate_fails_the_build(bench):
    build = Build(bench, "checksum", TOOLCHAIN)
    crates = build.recipe.parent / f"{NAME}-crates.inc"
    edit(crates, r'(SRC_URI\[actix-rt-\S+\.sha256sum\] = ")[0-9a-f]{4}', r"\g<1>0000")
    assert "actix-rt" in build.bitbake("-c", "fetch", NAME, check=False)


def test_wrong_checksum_of_the_licence_fails_the_build(bench):
    build = Build(bench, "licence", TOOLCHAIN)
    edit(build.recipe, r"LICENSE;md5=....", "LICENSE;md5=0000")
    assert "LIC_FILES_CHKSUM" in build.bitbake("-c", "populate_lic", NAME, check=False)


def test_unpackaged_file_fails_the_build(bench):
    build = Build(bench, "unpackaged", TOOLCHAIN)
    edit(
        build.recipe, r"    install -d \$\{D\}/opentrons_versions\n", r"\g<0>    touch ${D}/stray\n"
    )
    # What it installs is beside the point, so nothing is compiled.
    edit(
        build.recipe,
        r"do_compile:prepend\(\) \{\n",
        r"\g<0>    mkdir -p ${B}/target/${CARGO_TARGET_SUBDIR}; "
        r"cp /usr/aarch64-linux-gnu/lib/libm.so.6 ${B}/target/${CARGO_TARGET_SUBDIR}/opentrons-auth-server; return\n",
    )
    assert "installed-vs-shipped" in build.bitbake("-c", "package", NAME, check=False)
