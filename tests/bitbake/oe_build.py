"""Builds under real BitBake, as a user without privileges, with Debian's toolchain."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from support import ROOT

HERE = Path(__file__).resolve().parent
USER = "bitbake-test"
TOOLS = (
    *("chrpath", "cpio", "diffstat", "file", "gawk", "gcc", "lz4c", "makeinfo", "pkg-config"),
    *("pseudo", "zstd"),
)
CROSS = "aarch64-linux-gnu-gcc"
# Directory of Debian's OpenSSL for the target, which .ci/openssl-aarch64 prints.
OPENSSL = "AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR"
# Not needed for these tests, and parsing them takes minutes.
MASK = "/meta/recipes- /meta-oe/recipes- /meta-webserver/recipes-"


def source(name):
    """Returns the directory that an environment variable names, or None."""
    value = os.environ.get(name)
    return Path(value).resolve() if value else None


def missing():
    """Returns why no build is possible on this machine, or None."""
    for name in ("OE_CORE", "BITBAKE", "META_OE", OPENSSL):
        if not source(name):
            return f"no {name}"
    # Its copy would share the branch, to which tests commit.
    if (ROOT / ".git").is_file():
        return "the checkout is a worktree of git: clone it"
    tools = [tool for tool in (*TOOLS, CROSS) if not shutil.which(tool)]
    return f"not installed: {', '.join(tools)}" if tools else None


def call(*command, **options):
    options = {"check": True, "capture_output": True, "text": True, **options}
    return subprocess.run([str(part) for part in command], **options)  # noqa: PLW1510


def last_lines(output):
    """Returns the end of a command's output, with long lines cut: a command line of rustc can have
    thousands of characters."""
    return "\n".join(line[:300] for line in output.splitlines()[-200:])


def unprivileged():
    """Returns the prefix of a command that runs as an unprivileged user, because BitBake refuses to
    run as root."""
    if os.getuid() != 0:
        return []
    try:
        pwd.getpwnam(USER)
    except KeyError:
        call("useradd", "--system", "--user-group", "--no-create-home", USER)
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


class Bench:
    """Shared by all builds: tools, crates, Rust and OpenSSL; makes copies of the checkout."""

    def __init__(self, folder):
        self.folder = Path(folder)
        conf = (source("OE_CORE") / "meta/conf/layer.conf").read_text()
        self.release = re.search(r'^LAYERSERIES_CORENAMES = "(\w+)', conf, re.MULTILINE)[1]
        self.tools = self.folder / "tools"
        self.downloads = self.folder / "downloads"
        shutil.copytree(HERE / "host-tools", self.tools, symlinks=True)
        dwarf = source("OE_CORE") / "meta/recipes-devtools/dwarfsrcfiles/files/dwarfsrcfiles.c"
        call("gcc", "-O", "-o", self.tools / "dwarfsrcfiles", dwarf, "-lelf", "-ldw")
        # The user who builds may have no access to rustup's directory.
        sysroot = Path(call("rustc", "--print", "sysroot").stdout.strip())
        rust = self.folder / "rust"
        for part in ("bin", "lib"):
            shutil.copytree(sysroot / part, rust / part, symlinks=True)
        for tool in ("cargo", "rustc"):
            (self.tools / tool).symlink_to(rust / "bin" / tool)
        # Nor to the checkout, which has OpenSSL.
        self.openssl = self.folder / "openssl"
        for part in ("lib", "include"):
            shutil.copytree(source(OPENSSL) / part, self.openssl / part, symlinks=True)
        # do_fetch has only cargo's cache: these builds have no network access.
        self.downloads.mkdir()
        home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
        for crate in home.glob("registry/cache/*/*.crate"):
            shutil.copy(crate, self.downloads)

    def checkout(self, name):
        """Copies the checkout, including uncommitted changes."""
        copy = self.folder / name
        copy.mkdir()
        files = call("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines()
        present = [file for file in files if os.path.lexists(ROOT / file)]
        call("cp", "-a", "--parents", *present, copy, cwd=ROOT)
        call("cp", "-a", ROOT / ".git", copy)
        return copy


class Build:
    """A build directory with a TMPDIR of its own."""

    def __init__(self, bench, name, layers=(), conf="", ours=True, meta_oe=False):
        """`layers`: layers of this directory to use in addition to OE-core, meta-oe and
        meta-webserver. Without any, `meta_oe` adds the latter two."""
        self.bench = bench
        self.folder = bench.folder / f"build-{name}"
        self.checkout = bench.checkout(f"checkout-{name}")
        (self.folder / "conf").mkdir(parents=True)
        # A copy, because BitBake moves damaged files away.
        shutil.copytree(bench.downloads, self.folder / "downloads", copy_function=os.link)
        tests = self.checkout / "tests/bitbake"
        paths = [source("OE_CORE") / "meta"]
        if layers or meta_oe:
            paths += [source("META_OE") / "meta-oe", source("META_OE") / "meta-webserver"]
        paths += [tests / layer for layer in layers]
        if ours:
            paths.append(self.checkout / "meta-auth-server")
        (self.folder / "conf/bblayers.conf").write_text(
            'BBPATH = "${TOPDIR}"\nBBFILES ?= ""\n'
            f'BBLAYERS = "{" ".join(str(path) for path in paths)}"\n'
        )
        toolchain = "require conf/toolchain.conf\n" if "meta-toolchain" in layers else ""
        nginx = source("META_OE") / "meta-webserver/recipes-httpd/nginx"
        (self.folder / "conf/local.conf").write_text(
            f'{toolchain}MACHINE = "qemuarm64"\nCONNECTIVITY_CHECK_URIS = ""\n'
            f'DL_DIR = "{self.folder}/downloads"\nWEBSERVER_NGINX = "{nginx}"\n'
            f'OPENSSL_AARCH64 = "{bench.openssl}"\n{conf}\n'
        )

    @property
    def recipe(self):
        return self.recipe_of("opentrons-auth-server")

    def recipe_of(self, name):
        (path,) = self.checkout.glob(f"meta-auth-server/recipes-connectivity/{name}/*.bb")
        return path

    @property
    def tmp(self):
        (path,) = self.folder.glob("tmp*")
        return path

    def run(self, *command, check=True):
        """Runs a command of BitBake or OE-core and returns its output."""
        prefix = unprivileged()
        if prefix:
            # Only what the test has written: the server of the last command may still be removing
            # files of its own.
            find = ["find", self.folder, self.checkout, "-ignore_readdir_race", "!", "-user", USER]
            call(*find, "-exec", "chown", "--no-dereference", f"{USER}:{USER}", "{}", "+")
        path = f"{self.bench.tools}:{source('BITBAKE')}/bin:{source('OE_CORE')}/scripts"
        environment = {
            "PATH": f"{path}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LC_ALL": "en_US.UTF-8",
            "BBPATH": str(self.folder),
            "BUILDDIR": str(self.folder),
            "HOME": str(self.folder),
        }
        done = call(
            *prefix, *command, check=False, cwd=self.folder, env=environment, stderr=subprocess.STDOUT,
            capture_output=False, stdout=subprocess.PIPE,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, last_lines(done.stdout)
        else:
            assert done.returncode != 0, "it ought to have failed"
        return done.stdout

    def bitbake(self, *arguments, **options):
        return self.run("bitbake", *arguments, **options)
