"""What the tests do to a directory, with OpenLDAP's tools."""

import itertools
import signal
import subprocess

from support import PATIENCE


class LdapServer:
    """A directory that runs in the process `process`, and logs to the file `log_path`. A subclass defines
    `command`, which returns the beginning of a command: a tool that binds as the manager; `person` and
    `dn_of`, which return the LDIF and the DN of a person with a name; and `users`, the DN of a group."""

    # Numbers of newcomers: no two of them have the same name.
    numbers = itertools.count()

    def run(self, name, *arguments, ldif=None):
        """Runs one of OpenLDAP's tools as the manager."""
        return subprocess.run(
            [*self.command(name), *arguments],
            input=ldif,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def tool(self, name, *arguments, ldif=None):
        """Runs one of OpenLDAP's tools, which must succeed, and returns its output."""
        done = self.run(name, *arguments, ldif=ldif)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, *entries):
        self.tool("ldapadd", ldif="\n".join(entries))

    def delete(self, *dns):
        self.tool("ldapdelete", *dns)

    def rename(self, dn, rdn, below=None):
        """Renames an entry; `below`: the DN of the entry to move it to."""
        self.tool("ldapmodrdn", "-r", *(("-s", below) if below else ()), dn, rdn)

    def modify(self, dn, *changes):
        """Changes an entry. Each change is of the form ("add", attribute, value), and so on; the
        attribute ends with a colon if the value is in Base64."""
        lines = [f"dn: {dn}", "changetype: modify"]
        for how, attribute, *values in changes:
            lines.append(f"{how}: {attribute.removesuffix(':')}")
            lines += [*(f"{attribute}: {value}" for value in values), "-"]
        self.tool("ldapmodify", ldif="\n".join([*lines, ""]))

    def set(self, dn, attribute, *values):
        """Replaces an attribute's values; without values, removes it."""
        self.modify(dn, ("replace", attribute, *values))

    def join(self, group_dn, *members):
        self.modify(group_dn, ("add", "member", *members))

    def leave(self, group_dn, *members):
        self.modify(group_dn, ("delete", "member", *members))

    def newcomer(self, *groups, **attributes):
        """Adds a person, by default to the users, and returns the name."""
        name = f"person{next(self.numbers)}"
        self.add(self.person(name, **attributes))
        for group in groups or (self.users,):
            self.join(group, self.dn_of(name))
        return name

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def freeze(self):
        """Stops it like a machine that hangs: the kernel goes on accepting connections."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
