"""Compiles the C files in this directory."""

import subprocess

from servers import HERE


def shared_library(name, folder):
    """Compiles NAME.c into the directory and returns the path of the library."""
    library = folder / f"{name}.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / f"{name}.c"]
    subprocess.run(command, check=True)
    return library
