"""A lab's Active Directory: Samba's domain controller, in a folder of its own. It has fixed ports on the
loopback interface, so it runs in a network namespace (network.py). Needs root."""

import os
import shutil
import subprocess
import time
from base64 import b64decode, b64encode

from api import PASSWORD
from ldap_server import LdapServer
from support import PATIENCE, wait_for

SAMBA = shutil.which("samba", path=f"{os.environ['PATH']}:/usr/sbin")
# A domain controller takes some seconds to be made, and to start.
LONG = 6 * PATIENCE
REALM = "lab.example"
SUFFIX = "DC=lab,DC=example"
PEOPLE = f"OU=People,{SUFFIX}"
GROUPS = f"OU=Groups,{SUFFIX}"
ADMINISTRATOR_PASSWORD = "Manager-Horse-1"
# Account that looks people up: an ordinary one.
ROBOT = f"robot@{REALM}"
ROBOT_PASSWORD = "robot-horse"
ADMINS, USERS, AUDITORS = (f"CN=robot-{name},{GROUPS}" for name in ("admins", "users", "auditors"))
# Wrong passwords in a row after which the domain locks an account.
MAX_FAILURES = 5
# Policy of some people's passwords ([MS-ADTS] section 3.1.1.4.5.36), which are too old after MAX_AGE days.
# Samba takes none that is a day or less.
AGING = f"CN=aging,CN=Password Settings Container,CN=System,{SUFFIX}"
MAX_AGE = 42
URL = "ldaps://localhost"
# Its configuration at a robot, but for the server and the authority.
SETTINGS = {
    "kind": "activeDirectory",
    "base": SUFFIX,
    "upnSuffix": REALM,
    "bindName": ROBOT,
    "bindPassword": ROBOT_PASSWORD,
    "adminGroups": [ADMINS],
    "userGroups": [USERS],
    "auditorGroups": [AUDITORS],
}
# Flags of userAccountControl ([MS-ADTS] section 2.2.16).
NORMAL, DISABLED, PASSWORD_NEVER_EXPIRES = 0x200, 0x2, 0x10000
# Times are in 100 ns since 1601 ([MS-ADTS] section 3.1.1.2.2.2).
DAY = 24 * 3600 * 10_000_000
FROM_1601_TO_1970 = 134_774 * DAY
# Value of accountExpires: a time long ago.
LONG_AGO = 130_000_000_000_000_000
# Value of logonHours, in Base64: none of a week's.
NEVER = b64encode(bytes(21)).decode()


# Sets when a password was set, which is forbidden over LDAP: Samba's own Python, and a control that lets
# Samba's module for passwords take any value.
SET_PWD_LAST_SET = """\
import sys
import ldb
from samba.auth import system_session
from samba.dsdb import DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID
from samba.param import LoadParm
from samba.samdb import SamDB
configuration, database, dn, value = sys.argv[1:]
sam = SamDB(database, session_info=system_session(), lp=LoadParm(configuration))
message = ldb.Message(ldb.Dn(sam, dn))
message["pwdLastSet"] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, "pwdLastSet")
sam.modify(message, controls=[f"local_oid:{DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID}:0"])
"""


def missing():
    """Returns why the tests cannot run, or None."""
    if not SAMBA or not os.path.isdir("/usr/share/samba/setup"):
        return "samba-ad-provision is not installed"
    if not shutil.which("ldapmodify"):
        return "ldap-utils is not installed"
    return None if os.geteuid() == 0 else "needs root"


def quoted(password):
    """Returns a password as LDIF's value of unicodePwd."""
    return b64encode(f'"{password}"'.encode("utf-16-le")).decode()


def person(name, password=PASSWORD, below=PEOPLE, **attributes):
    """Returns a person's entry in LDIF."""
    attributes = {
        "sAMAccountName": name,
        "userPrincipalName": f"{name}@{REALM}",
        "displayName": f"{name.capitalize()} Sample",
        "userAccountControl": NORMAL,
    } | attributes
    lines = [f"{key}: {value}" for key, value in attributes.items()]
    return "\n".join(
        [f"dn: {dn_of(name, below)}", "objectClass: user", *lines]
        + [f"unicodePwd:: {quoted(password)}", ""]
    )


def dn_of(name, below=PEOPLE):
    return f"CN={name},{below}"


def group(dn, *members):
    name = dn.split(",")[0].removeprefix("CN=")
    lines = [f"dn: {dn}", "objectClass: group", f"sAMAccountName: {name}"]
    return "\n".join([*lines, *(f"member: {member}" for member in members), ""])


def unit(dn):
    return f"dn: {dn}\nobjectClass: organizationalUnit\n"


# One person in each group; katherine's group is within a group of the users; margaret is in none.
SAMPLE = [
    unit(PEOPLE),
    unit(f"OU=Guests,{PEOPLE}"),
    unit(GROUPS),
    unit(f"OU=Accounts,{SUFFIX}"),
    person(
        "robot",
        ROBOT_PASSWORD,
        f"OU=Accounts,{SUFFIX}",
        userAccountControl=NORMAL | PASSWORD_NEVER_EXPIRES,
    ),
    *(person(name) for name in ("ada", "grace", "alan", "katherine", "margaret")),
    group(f"CN=chromatography,{GROUPS}", dn_of("katherine")),
    group(f"CN=chemistry,{GROUPS}", f"CN=chromatography,{GROUPS}"),
    group(ADMINS, dn_of("ada")),
    group(USERS, dn_of("grace"), f"CN=chemistry,{GROUPS}"),
    group(AUDITORS, dn_of("alan")),
    f"""dn: {AGING}
objectClass: msDS-PasswordSettings
msDS-PasswordSettingsPrecedence: 1
msDS-PasswordReversibleEncryptionEnabled: FALSE
msDS-PasswordHistoryLength: 0
msDS-PasswordComplexityEnabled: FALSE
msDS-MinimumPasswordLength: 1
msDS-MinimumPasswordAge: 0
msDS-MaximumPasswordAge: -{MAX_AGE * DAY}
msDS-LockoutThreshold: {MAX_FAILURES}
msDS-LockoutObservationWindow: -{DAY}
msDS-LockoutDuration: -{DAY}
""",
]


class Domain(LdapServer):
    """A domain with one domain controller."""

    person, dn_of, users = staticmethod(person), staticmethod(dn_of), USERS

    def __init__(self, folder, certificate, ca):
        """`certificate`: the files of the certificate and of its key; `ca`: of the authority's."""
        self.folder = folder
        self.ca = ca
        self.log_path = folder / "log"
        self.process = None
        self.configuration = folder / "etc/smb.conf"
        for file in certificate:
            os.chmod(file, 0o600)  # Samba demands it of the key.
        self.options = {
            "interfaces": "lo",
            "bind interfaces only": "yes",
            "server services": "ldap",
            "dcerpc endpoint servers": "",
            "ncalrpc dir": folder / "ncalrpc",
            "pid directory": folder,
            "winbindd socket directory": folder / "winbindd",
            "ntp signd socket directory": folder / "ntp",
            "log file": folder / "log.%m",
            "tls certfile": certificate[0],
            "tls keyfile": certificate[1],
            "tls cafile": ca,
        }

    def create(self):
        self.samba_tool(
            *("domain", "provision", f"--targetdir={self.folder}", f"--realm={REALM.upper()}"),
            *("--domain=LAB", "--host-name=dc1", "--host-ip=127.0.0.1", "--server-role=dc"),
            *("--use-rfc2307", "--dns-backend=NONE", f"--adminpass={ADMINISTRATOR_PASSWORD}"),
            *(f"--option={name}={value}" for name, value in self.options.items()),
        )
        self.samba_tool(
            *("domain", "passwordsettings", "set", f"--configfile={self.configuration}"),
            *("--complexity=off", "--min-pwd-length=1", "--min-pwd-age=0", "--max-pwd-age=0"),
            *("--history-length=0", f"--account-lockout-threshold={MAX_FAILURES}"),
        )
        return self

    def samba_tool(self, *arguments):
        self.locally("samba-tool", *arguments)

    def locally(self, *command):
        """Runs a command that opens the domain's database itself."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [SAMBA, "--foreground", "--no-process-group", "--debug-stdout"]
                + ["--model=single", f"--configfile={self.configuration}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self.answers, "the domain controller answers", LONG)
        return self

    def command(self, name, who=f"administrator@{REALM}", password=ADMINISTRATOR_PASSWORD):
        # In place of "localhost", libldap would compare the machine's name with the certificate.
        url = URL.replace("localhost", "127.0.0.1")
        tool = ["env", f"LDAPTLS_CACERT={self.ca}", name, "-x", "-H", url]
        return [*tool, "-D", who, "-w", password]

    def answers(self):
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")
        return self.run("ldapsearch", "-s", "base", "-b", SUFFIX, "dn").returncode == 0

    def search(self, dn, attribute):
        """Returns an entry's values of an attribute, as bytes."""
        options = ("-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn)
        found = []
        for line in self.tool("ldapsearch", *options, attribute).splitlines():
            name, _, value = line.partition(":")
            if name == attribute:
                found.append(b64decode(value[1:]) if value.startswith(":") else value[1:].encode())
        return found

    def bind(self, name, password=PASSWORD):
        """Tries to log in to the domain itself, and returns what it says."""
        done = subprocess.run(
            [*self.command("ldapsearch", f"{name}@{REALM}", password), "-s", "base", "-b", ""],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    def set_password(self, name, password):
        """Sets a password as an administrator does."""
        self.modify(dn_of(name), ("replace", "unicodePwd:", quoted(password)))

    def age_password(self, name, days):
        """Makes a person's password as old as so many days; the policy applies to the person from now on."""
        if dn_of(name).encode() not in self.search(AGING, "msDS-PSOAppliesTo"):
            self.modify(AGING, ("add", "msDS-PSOAppliesTo", dn_of(name)))
        value = int(time.time() * 10_000_000) + FROM_1601_TO_1970 - days * DAY
        self.locally(
            *("/usr/bin/python3", "-c", SET_PWD_LAST_SET, self.configuration),
            *(self.folder / "private/sam.ldb", dn_of(name), str(value)),
        )

    def lock(self, name):
        """Locks an account by wrong passwords, from elsewhere than a robot."""
        for _ in range(MAX_FAILURES):
            self.bind(name, "wrong")
        assert self.search(dn_of(name), "lockoutTime") not in ([], [b"0"])

    def identifier(self, name):
        """Returns a person's identifier as the process returns it."""
        [guid] = self.search(dn_of(name), "objectGUID")
        return guid.hex()
