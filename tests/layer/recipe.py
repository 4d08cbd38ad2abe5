"""Parses and fetches the recipes with BitBake's own library (bitbake-setup from PyPI), without
OE-core.

The classes that the recipes inherit are empty stand-ins, and the few variables of bitbake.conf that
they need are set here: this is a lint, not a proof.
"""

import logging
import sys
import types
from contextlib import chdir
from pathlib import Path

# BitBake's hash server, which the package on PyPI lacks and parsing does not need.
for name in ("hashserv", "hashserv.client"):
    sys.modules.setdefault(name, types.ModuleType(name))

import bb
import bb.data
import bb.fetch2
import bb.parse

from support import LAYER, RECIPES

NAME = "opentrons-auth-server"
CLASSES = (
    *("cargo", "cargo-update-recipe-crates", "externalsrc", "features_check", "pkgconfig"),
    *("systemd", "useradd"),
)
# As in OE-core's meta/conf/bitbake.conf.
BITBAKE_CONF = {
    "PN": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[0]}",
    "PV": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[1]}",
    "BPN": "${PN}",
    "BP": "${BPN}-${PV}",
    "FILE_DIRNAME": "${@os.path.dirname(d.getVar('FILE', False))}",
    "FILESPATH": "${FILE_DIRNAME}/files",
    "bindir": "/usr/bin",
    "datadir": "/usr/share",
    "sysconfdir": "/etc",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
    "PERSISTENT_DIR": "${TOPDIR}/cache",
    "DL_DIR": "${TOPDIR}/downloads",
    "WORKDIR": "${TOPDIR}/work",
    "BB_NO_NETWORK": "1",
}


def recipe_file(name):
    (path,) = (RECIPES / name).glob("*.bb")
    return path


def parse(folder, name=NAME, **variables):
    """Returns the variables of a recipe. `folder` stands for the build directory."""
    for each in CLASSES:
        path = folder / "layer/classes" / f"{each}.bbclass"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    logging.getLogger("BitBake").setLevel(logging.WARNING)
    data = bb.data.init()
    values = {**BITBAKE_CONF, "TOPDIR": folder, "BBPATH": f"{folder}/layer:{LAYER}", **variables}
    for variable, value in values.items():
        data.setVar(variable, str(value))
    bb.parse.init_parser(data)
    path = str(recipe_file(name))
    data.setVar("FILE", path)
    data.setVar("__bbclasstype", "recipe")
    bb.fetch2.urldata_cache.clear()
    return bb.parse.handle(path, data, 0)[""]


def missing(recipe):
    """Returns what do_fetch reports as missing, or an empty string."""
    return bb.utils.better_eval("auth_server_missing(d)", {"d": recipe})


def fetch_and_unpack(recipe, crates):
    """Runs do_fetch and do_unpack with the .crate files in the directories `crates`, and returns
    the directory of the unpacked crates. Raises `bb.fetch2.BBFetchException`."""
    downloads = Path(recipe.getVar("DL_DIR"))
    downloads.mkdir(parents=True, exist_ok=True)
    for crate in (file for folder in crates for file in folder.glob("*.crate")):
        (downloads / crate.name).write_bytes(crate.read_bytes())
    work = Path(recipe.getVar("WORKDIR"))
    work.mkdir(parents=True, exist_ok=True)
    fetcher = bb.fetch2.Fetch(recipe.getVar("SRC_URI").split(), recipe)
    with chdir(work):
        fetcher.download()
        fetcher.unpack(str(work))
    return work / "cargo_home/bitbake"
