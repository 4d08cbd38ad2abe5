"""The layer under real BitBake: parsing, overrides, build and packaging; and rejection of invalid
configurations."""

import json
import re
import shutil
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from broken_servers import Fake, tls
from certificates import Authority
from directory_client import DirectoryProcess, configuration, verify
from oe_build import MASK, Build, call
from support import LAYER, as_in_readme, installed, installed_directory, request, wait_for

NAME = "opentrons-auth-server"
DIRECTORY = "opentrons-auth-directory"
each_recipe = pytest.mark.parametrize("name", [NAME, DIRECTORY])
PV = next(LAYER.glob(f"recipes-connectivity/{NAME}/*.bb")).stem.partition("_")[2]
GLIBC = (2, 39)  # the robot's
TOOLCHAIN = ("meta-toolchain",)
WITH_DISTRO = ("meta-toolchain", "meta-distro")


@pytest.fixture(scope="module")
def built(bench):
    """Builds both recipes from do_fetch to do_package_write_ipk."""
    build = Build(bench, "whole", TOOLCHAIN)
    build.run(*as_in_readme("bitbake opentrons-auth-server"))
    build.bitbake(DIRECTORY)
    return build


@pytest.fixture(scope="module")
def packages(built, tmp_path_factory):
    """Returns, for each package of both recipes, its files and directories, as (mode, owner) by path,
    and the directory in which it is unpacked."""
    found = {}
    for ipk in built.tmp.glob("deploy/ipk/*/*.ipk"):
        if not ipk.name.startswith((NAME, DIRECTORY)):
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
            if path != "./":
                files[path.removeprefix(".").removesuffix("/")] = (mode, owner)
        found[ipk.name.split("_")[0]] = (files, folder)
    return found


def program(packages, name):
    """Returns the file of a recipe's packaged program."""
    return packages[name][1] / "data/usr/bin" / name


def emulated(built, binary):
    """Returns the command that runs a program with the libraries that it is linked with."""
    if not shutil.which("qemu-aarch64"):
        pytest.skip("qemu-aarch64 is not installed")
    folders = built.tmp.glob("sysroots-components/*/*/usr/lib")
    path = ":".join(str(each) for each in folders if each.parts[-3] in ("sqlite3", "openssl"))
    return ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", f"LD_LIBRARY_PATH={path}", binary]


def variable(build, name, recipe=NAME):
    text = build.bitbake("-e", recipe)
    return re.search(rf'^{name}="(.*)"$', text, re.MULTILINE)[1]


def test_layer_is_for_this_release(bench):
    """The layer declares it. Otherwise BitBake would refuse the layer."""
    conf = (LAYER / "conf/layer.conf").read_text()
    compatible = re.search(r'^LAYERSERIES_COMPAT_\S+ = "(.*)"$', conf, re.MULTILINE)[1].split()
    assert bench.release in compatible


def test_parses_alone_and_asks_for_systemd(bench):
    """Parsed with OE-core alone, and without systemd: releases differ in what they take unasked."""
    build = Build(bench, "alone", conf='INIT_MANAGER = "sysvinit"')
    assert "0 errors" in build.bitbake("-p")
    said = build.bitbake(NAME, check=False)
    assert re.search(r"missing required (distro feature|DISTRO_FEATURES:) 'systemd'", said), said


def test_parses_with_the_webserver_layer(bench):
    """The layer appends to the nginx recipe of meta-webserver."""
    mask = f'BBMASK = "{MASK.replace(" /meta-webserver/recipes-", "")}"'
    build = Build(bench, "webserver", ("meta-distro",), mask)
    assert "0 errors" in build.bitbake("-p")
    text = build.run("bitbake-layers", "show-appends")
    assert re.search(r"nginx_[\d.]+\.bb:\n(\s+\S+\n)*\s+\S+meta-auth-server/", text), text


def test_ours_is_chosen_before_a_higher_version_of_the_distro(bench):
    build = Build(bench, "chosen", WITH_DISTRO)
    assert variable(build, "FILE") == str(build.recipe)


ASKED = 'AUTH_SERVER_NGINX = "1"'


def nginx_servers(build):
    (etc,) = build.tmp.glob("work/*/nginx/*/image/etc/nginx")
    return [*etc.glob("nginx-http*.conf"), *etc.glob("sites-available/*")]


@pytest.mark.parametrize(
    ("layers", "conf", "servers"),
    [(TOOLCHAIN, ASKED, 1), (WITH_DISTRO, "", 3)],
    ids=["webserver asks", "robot"],
)
def test_every_nginx_configuration_has_auth_once(bench, layers, conf, servers):
    build = Build(bench, f"nginx-{servers}", layers, conf)
    build.bitbake("-c", "install", "nginx")
    found = nginx_servers(build)
    assert len(found) == servers
    for server in found:
        text = server.read_text()
        auth = re.findall(r"location /auth|include \S*/server-conf\.d/opentrons-auth-server", text)
        assert auth == ["include /etc/nginx/server-conf.d/opentrons-auth-server"], text


def test_nginx_is_left_alone_where_nobody_asks(bench):
    build = Build(bench, "nginx-unasked", TOOLCHAIN)
    build.bitbake("-c", "install", "nginx")
    (server,) = nginx_servers(build)
    assert "auth" not in server.read_text()
    assert "include-auth-server" not in variable(build, "SRC_URI", "nginx")


def test_robot_may_refuse_the_snippets(bench):
    build = Build(bench, "nginx-refused", WITH_DISTRO, 'AUTH_SERVER_NGINX = "0"')
    build.bitbake("-c", "install", "nginx")
    found = nginx_servers(build)
    assert len(found) == 3
    assert "location /auth {" in found[0].read_text()
    for server in found:
        assert "server-conf.d/opentrons-auth-server" not in server.read_text()


def test_nginx_that_looks_otherwise_fails_the_build_that_asks(bench):
    build = Build(bench, "nginx-otherwise", TOOLCHAIN, ASKED)
    (stub,) = build.checkout.glob("tests/bitbake/meta-toolchain/recipes-stubs/nginx/*.bb")
    site = "${D}${sysconfdir}/nginx/sites-available/default_server"
    with stub.open("a") as file:
        file.write(
            f"do_install:append() {{\n    echo 'server {{ location ~ ^/auth {{ }} }}' > {site}\n}}\n"
        )
    said = build.bitbake("-c", "install", "nginx", check=False)
    assert re.search(
        r'default_server:1: "location ~ \^/auth": it matches requests below /auth', said
    )
    assert 'set AUTH_SERVER_NGINX = "0"' in said


@pytest.mark.parametrize("webserver", [False, True], ids=["alone", "webserver"])
def test_layer_passes_yocto_check_layer(bench, webserver):
    """In particular, the layer changes no signature of another layer's recipe."""
    # Fetching a loader for prebuilt programs needs the network.
    conf = 'INHERIT:remove = "uninative"\n'
    if webserver:
        conf += 'BBMASK = "/meta-oe/recipes- /meta-webserver/recipes-(?!httpd/nginx)"'
    build = Build(bench, f"check-{webserver}", conf=conf, ours=False, meta_oe=webserver)
    build.run("yocto-check-layer", "--no-auto-dependency", build.checkout / "meta-auth-server")


def test_commands_of_the_readme_add_and_remove_the_layer(bench):
    build = Build(bench, "commands", TOOLCHAIN, ours=False)
    *words, layer = as_in_readme("bitbake-layers add-layer ../auth-server/meta-auth-server")
    build.run(*words, layer.replace("../auth-server", str(build.checkout)))
    assert variable(build, "FILE") == str(build.recipe)
    build.run(*as_in_readme("bitbake-layers remove-layer meta-auth-server"))
    assert "meta-auth-server" not in build.run("bitbake-layers", "show-layers")


def test_line_of_the_readme_adds_the_layer_to_the_robots_build(bench):
    """The robot's build directory is beside its directory of layers, and its bblayers.conf is a
    copy."""
    (bench.folder / "layers").mkdir()
    checkout = bench.checkout("layers/auth-server")
    build = Build(bench, "robot", WITH_DISTRO, ours=False)
    readme = (checkout / "meta-auth-server/README.md").read_text()
    line = re.search(r"^  \$\{TOPDIR\}/\.\./layers/\S+ \\$", readme, re.MULTILINE)[0]
    conf = build.folder / "conf/bblayers.conf"
    conf.write_text(conf.read_text().replace('BBLAYERS = "', f'BBLAYERS = " \\\n{line}\n  '))
    recipe = checkout / build.recipe.relative_to(build.checkout)
    assert Path(variable(build, "FILE")).resolve() == recipe


def test_image_without_the_directory_builds_no_openssl(bench):
    build = Build(bench, "graph", TOOLCHAIN)
    lists = {}
    for name in NAME, DIRECTORY:
        build.bitbake("-g", name)
        lists[name] = set((build.folder / "pn-buildlist").read_text().split())
    assert not lists[NAME] & {"openssl", DIRECTORY}
    assert lists[DIRECTORY] == lists[NAME] | {"openssl", DIRECTORY}


@each_recipe
def test_licences_of_all_that_is_linked_are_deployed(built, name):
    """Each licence is among the common licences of the release, or in the layer."""
    deployed = built.tmp.glob(f"deploy/licenses/**/{name}/generic_*")
    names = {path.name.removeprefix("generic_") for path in deployed}
    assert names == set(variable(built, "LICENSE", name).split(" & "))


@pytest.mark.parametrize(("name", "install"), [(NAME, installed), (DIRECTORY, installed_directory)])
def test_packages_hold_what_make_install_does(packages, tmp_path, name, install):
    """Directories included: those that are empty are mount points of the second process."""
    binary = tmp_path / "binary"
    binary.touch()
    tree = install(tmp_path / "tree", binary)
    expected = {
        f"/{path.relative_to(tree)}": stat.filemode(path.lstat().st_mode)
        for path in tree.rglob("*")
    }
    packaged = {}
    for package, (files, _) in packages.items():
        if package.startswith(name) and not package.endswith(("-dbg", "-dev")):
            packaged.update(files)
    assert {owner for _, owner in packaged.values()} == {"root/root"}
    # systemd.bbclass adds them.
    presets = "/usr/lib/systemd/system-preset"
    assert f"{presets}/98-{name}.preset" in packaged
    modes = {path: mode for path, (mode, _) in packaged.items() if not path.startswith(presets)}
    assert modes == expected


def test_manual_page_and_completions_are_in_packages_of_their_own(packages):
    def files(package):
        return {path for path, (mode, _) in packages[package][0].items() if mode[0] != "d"}

    assert files(f"{NAME}-doc") == {f"/usr/share/man/man8/{NAME}.8"}
    completions = files(f"{NAME}-completions")
    assert len(completions) == 3
    assert all(re.search("/(bash-completion|fish|zsh)/", path) for path in completions)


def test_version_file_is_in_the_sysroot_and_not_in_the_image(built, packages):
    path = f"opentrons_versions/{NAME}-version.json"
    (file,) = built.tmp.glob(f"sysroots-components/*/{NAME}/{path}")
    assert json.loads(file.read_text())["auth_server_sha"] == source_version(built)
    assert set(packages[f"{NAME}-dev"][0]) == {"/opentrons_versions", f"/{path}"}


@pytest.mark.parametrize(
    ("name", "units", "home"),
    [
        (
            NAME,
            [f"{NAME}.socket", f"{NAME}.service", "opentrons-remote-access-allowed.service"],
            f"/var/lib/{NAME}",
        ),
        (DIRECTORY, [f"{DIRECTORY}.socket"], "/"),
    ],
    ids=[NAME, DIRECTORY],
)
def test_postinst_enables_the_units_and_preinst_adds_the_user(packages, name, units, home):
    control = packages[name][1] / "control"
    enabled = re.findall(r"for service in (.*); do", (control / "postinst").read_text())
    assert {unit for each in enabled for unit in each.split()} == set(units)
    preset = packages[name][1] / f"data/usr/lib/systemd/system-preset/98-{name}.preset"
    assert sorted(preset.read_text().splitlines()) == sorted(f"enable {unit}" for unit in units)
    (parameters,) = re.findall(
        r'^\s*USERADD_PARAM="(.+)"$', (control / "preinst").read_text(), re.MULTILINE
    )
    *options, added = parameters.split()
    assert added == name and {"--system", "--no-create-home"} <= set(options)
    assert options[options.index("--home-dir") + 1] == home
    assert options[options.index("--shell") + 1].endswith("/nologin")


@pytest.mark.parametrize(
    ("name", "libraries", "depended"),
    [
        (NAME, {"libsqlite3.so.0"}, {"libsqlite3-0"}),
        (DIRECTORY, {"libssl.so.3", "libcrypto.so.3"}, {"libssl3", "libcrypto3", NAME}),
    ],
    ids=[NAME, DIRECTORY],
)
def test_libraries_are_the_distributions(packages, name, libraries, depended):
    """The distribution provides security updates for its SQLite and OpenSSL, so the binaries must not
    contain their own."""
    dynamic = call("aarch64-linux-gnu-objdump", "-p", program(packages, name)).stdout
    toolchains = re.compile(r"(libc|libm|libgcc_s|ld-linux-aarch64)\.so\.\d")
    needed = set(re.findall(r"NEEDED +(\S+)", dynamic))
    assert {each for each in needed if not toolchains.fullmatch(each)} == libraries
    control = (packages[name][1] / "control/control").read_text()
    (line,) = re.findall(r"^Depends: (.*)$", control, re.MULTILINE)
    # For the C library, and for adding the user.
    always = {"glibc", "base-files", "base-passwd", "shadow"}
    assert {each.split()[0] for each in line.split(", ")} - always == depended


@each_recipe
def test_binary_needs_no_newer_glibc(packages, name):
    symbols = call("aarch64-linux-gnu-objdump", "-T", program(packages, name)).stdout
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([0-9.]+)", symbols)}
    assert versions and max(versions) <= GLIBC


@each_recipe
def test_binary_says_its_version(built, packages, name):
    said = call(*emulated(built, program(packages, name)), "--version").stdout
    assert PV in said and source_version(built) in said


def test_binary_runs(built, packages, tmp_path):
    socket = tmp_path / "auth.sock"
    server = subprocess.Popen(
        [*emulated(built, program(packages, NAME)), "--uds", socket],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists, "the server listens")
        assert request(socket, "GET", "/auth/hello").status == 200
    finally:
        server.terminate()
        assert server.wait() == 0


def test_binary_of_the_directory_runs_and_verifies_certificates(built, packages, tmp_path):
    authority, other = Authority(tmp_path), Authority(tmp_path, "Another CA")
    command = emulated(built, program(packages, DIRECTORY))
    with (
        closing(Fake(tls(authority.issue("localhost")))) as server,
        closing(DirectoryProcess(tmp_path, command=command)) as process,
    ):
        answer = process.ask(configuration(authority.pem, [server.ldaps]), verify("ada"))
        assert answer == ("nobodyFound", None), process.log
        kind, said = process.ask(configuration(other.pem, [server.ldaps]), verify("ada"))
        assert kind == "unavailable" and "certificate" in said, process.log


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)


def git(build, *arguments):
    """Runs git in the build's checkout, which belongs to another user."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@test",
    ]
    return call(*command, *arguments, cwd=build.checkout).stdout.strip()


def source_version(build):
    dirty = "-dirty" if git(build, "status", "--porcelain") else ""
    return git(build, "rev-parse", "HEAD") + dirty


def compile_nothing(build):
    """Replaces the binaries by another program, for tests in which their behaviour does not matter."""
    for name in NAME, DIRECTORY:
        edit(build.recipe_of(name), r'\nDEPENDS \+= ".*"\n', "\n")
    (source,) = build.recipe.parent.glob("*-source.inc")
    edit(
        source,
        r"(?s)do_compile:prepend\(\) \{\n.*?\n\}",
        "do_compile() {\n    mkdir -p ${B}/target/${CARGO_TARGET_SUBDIR}\n"
        "    cp /usr/aarch64-linux-gnu/lib/libm.so.6 ${B}/target/${CARGO_TARGET_SUBDIR}/${BPN}\n}",
    )


def installed_version(build):
    build.bitbake("-c", "install", NAME)
    (file,) = build.tmp.glob(f"work/*/{NAME}/*/image/opentrons_versions/{NAME}-version.json")
    return json.loads(file.read_text())


def compiled_version(build):
    """Returns the same of the second recipe, which installs no such file: what its program is told."""
    build.bitbake("-c", "install", DIRECTORY)
    (folder,) = build.tmp.glob(f"work/*/{DIRECTORY}/{PV}*/build")
    return {
        "auth_server_version": PV,
        "auth_server_sha": (folder / "commit").read_text(),
        "auth_server_branch": (folder / "branch").read_text(),
    }


def signatures(build, name=NAME):
    """Returns the signatures of a recipe's tasks."""
    build.bitbake("-S", "lockedsigs", name)
    text = (build.folder / "locked-sigs.inc").read_text()
    return dict(re.findall(rf"^ +{name}:(\S+?):(\S+)", text, re.MULTILINE))


def test_commit_changes_the_signatures_and_an_edit_is_said(bench):
    build = Build(bench, "signatures", TOOLCHAIN)
    compile_nothing(build)
    git(build, "commit", "--quiet", "--all", "--message", "What the test changed")
    first = signatures(build)
    assert signatures(build) == first, "nothing changed"
    assert installed_version(build) == {
        "auth_server_version": PV,
        "auth_server_sha": git(build, "rev-parse", "HEAD"),
        "auth_server_branch": git(build, "rev-parse", "--abbrev-ref", "HEAD"),
    }
    git(build, "commit", "--quiet", "--allow-empty", "--message", "Nothing that git sees in a tree")
    second = signatures(build)
    for task in ("do_compile", "do_install"):
        assert second[task] != first[task]
    assert installed_version(build)["auth_server_sha"] == git(build, "rev-parse", "HEAD")
    with (build.checkout / "src/main.rs").open("a") as file:
        file.write("// edited\n")
    assert installed_version(build)["auth_server_sha"] == git(build, "rev-parse", "HEAD") + "-dirty"


def release(bench, name, conf="", recipe=NAME):
    """Builds a tag of a repository beside the build; yields the build, the repository and the
    commit of the tag."""
    build = Build(bench, name, TOOLCHAIN)
    compile_nothing(build)
    git(build, "commit", "--quiet", "--all", "--message", "What the test changed")
    git(build, "tag", f"v{PV}")
    remote = build.folder / "remote.git"
    call("git", "-c", "safe.directory=*", "clone", "--quiet", "--bare", build.checkout, remote)
    commit = git(build, "rev-parse", "HEAD")
    with (build.folder / "conf/local.conf").open("a") as file:
        file.write(
            f'AUTH_SERVER_TAG = "v{PV}"\nSRCREV:pn-{recipe} = "{commit}"\n'
            f'AUTH_SERVER_GIT = "git://{remote};protocol=file"\n{conf}\n'
        )
    return build, remote, commit


@pytest.mark.parametrize(
    ("name", "version"),
    [(NAME, installed_version), (DIRECTORY, compiled_version)],
    ids=[NAME, DIRECTORY],
)
def test_release_is_fetched_in_do_fetch_alone(bench, name, version):
    build, remote, commit = release(bench, f"release-{name}", recipe=name)
    away = remote.rename(f"{remote}.away")
    assert "0 errors" in build.bitbake("-p")
    assert signatures(build, name)["do_compile"]
    assert str(remote) in build.bitbake("-c", "fetch", name, check=False)
    away.rename(remote)
    # The recipe builds the tag, not the checkout.
    (build.checkout / "src/main.rs").unlink()
    assert version(build) == {
        "auth_server_version": PV,
        "auth_server_sha": commit,
        "auth_server_branch": f"v{PV}",
    }


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        (f'SRCREV:pn-{NAME} = "v{PV}"', f"set SRCREV:pn-{NAME} to its commit"),
        ('AUTH_SERVER_GIT = ""', "set AUTH_SERVER_GIT to the repository"),
        ('AUTH_SERVER_TAG = "v0.0.1"', "The tag v0.0.1 .* points to no commit, but SRCREV is "),
        (f'PV:pn-{NAME} = "9.9.9"', "is version .*, but this recipe is for 9.9.9"),
    ],
    ids=["name", "no repository", "other tag", "other version"],
)
def test_release_that_does_not_fit_together_is_refused(bench, request, conf, said):
    build, *_ = release(bench, f"release-{request.node.callspec.id.replace(' ', '-')}", conf)
    assert "0 errors" in build.bitbake("-p")
    assert re.search(said, build.bitbake("-c", "unpack", NAME, check=False))


@each_recipe
def test_layer_without_the_server_says_what_to_set(bench, name):
    build = Build(bench, f"vendored-{name}", TOOLCHAIN)
    vendored = build.folder / "layers/vendored/meta-auth-server"
    vendored.parent.mkdir(parents=True)
    call("cp", "-a", build.checkout / "meta-auth-server", vendored)
    edit(
        build.folder / "conf/bblayers.conf",
        re.escape(f"{build.checkout}/meta-auth-server"),
        str(vendored),
    )
    assert "0 errors" in build.bitbake("-p")
    said = build.bitbake("-c", "unpack", name, check=False)
    assert f"set EXTERNALSRC:pn-{name} to one, or AUTH_SERVER_TAG" in said
    with (build.folder / "conf/local.conf").open("a") as file:
        file.write(f'EXTERNALSRC:pn-{name} = "{build.folder}/layers"\n')
    said = build.bitbake("-c", "unpack", name, check=False)
    assert f"{build.folder}/layers is not a checkout of the auth server" in said
    with (build.folder / "conf/local.conf").open("a") as file:
        file.write(f'EXTERNALSRC:pn-{name} = "{build.checkout}"\n')
    build.bitbake("-c", "unpack", name)


@each_recipe
def test_units_name_the_binary_where_the_distribution_has_it(bench, name):
    build = Build(bench, f"folders-{name}", TOOLCHAIN, f'bindir:pn-{name} = "/usr/robot/bin"')
    compile_nothing(build)
    build.bitbake("-c", "install", name)
    (image,) = build.tmp.glob(f"work/*/{name}/*/image")
    assert (image / f"usr/robot/bin/{name}").exists()
    units = "".join(path.read_text() for path in image.rglob("*.service"))
    assert f"ExecStart=/usr/robot/bin/{name}" in units and "/usr/bin/" not in units


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
    compile_nothing(build)
    assert "installed-vs-shipped" in build.bitbake("-c", "package", NAME, check=False)
