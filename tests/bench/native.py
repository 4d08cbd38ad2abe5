"""The C files of this folder, compiled."""

import subprocess

from servers import HERE


def shared_library(name, folder):
    """Compiles NAME.c into the folder, and returns the library's path."""
    library = folder / f"{name}.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / f"{name}.c"]
    subprocess.run(command, check=True)
    return library
