"""A lab's directory: OpenLDAP's slapd with TLS, groups within groups and a password policy, as the
current user, in a folder and on ports of its own."""

import os
import re
import shutil
import socket
import subprocess
from base64 import b64encode

from api import PASSWORD
from ldap_server import LdapServer
from support import PATIENCE, free_port, wait_for

SLAPD = shutil.which("slapd", path=f"{os.environ['PATH']}:/usr/sbin")
SCHEMA = "/etc/ldap/schema"
SUFFIX = "dc=lab,dc=example"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
MANAGER = f"cn=manager,{SUFFIX}"
MANAGER_PASSWORD = "manager-horse"
# Account that looks people up. It reads what the rules below say, and nothing else.
ROBOT = f"cn=robot,ou=accounts,{SUFFIX}"
ROBOT_PASSWORD = "robot-horse"
ADMINS, USERS, AUDITORS = (f"cn=robot-{name},{GROUPS}" for name in ("admins", "users", "auditors"))
# Its configuration at a robot, but for the servers and the authority.
SETTINGS = {
    "kind": "ldap",
    "base": PEOPLE,
    "userFilter": "(&(objectClass=inetOrgPerson)(uid={name}))",
    "bindName": ROBOT,
    "bindPassword": ROBOT_PASSWORD,
    "adminGroups": [ADMINS],
    "userGroups": [USERS],
    "auditorGroups": [AUDITORS],
}
# Wrong passwords in a row after which the policy locks an account.
MAX_FAILURES = 5

CONFIGURATION = """\
dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {folder}/pid
olcLogLevel: none
olcServerID: {number}
{tls}
dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: dynlist
olcModuleLoad: ppolicy
olcModuleLoad: syncprov

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file://{schema}/core.ldif
include: file://{schema}/cosine.ldif
include: file://{schema}/inetorgperson.ldif
include: file://{schema}/dyngroup.ldif

dn: olcDatabase={{-1}}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {{-1}}frontend
olcAccess: to dn.base="" by * read
olcAccess: to dn.base="cn=Subschema" by * read

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcDbDirectory: {folder}/data
olcDbMaxSize: 67108864
olcDbNoSync: TRUE
olcSuffix: {suffix}
olcRootDN: {manager}
olcRootPW: {manager_password}
olcDbIndex: objectClass,uid,entryUUID,entryCSN,member eq
olcAccess: to attrs=userPassword by anonymous auth
olcAccess: to dn.subtree="{people}" attrs=entry,entryDN,objectClass,uid,cn,entryUUID,memberOf,pwdAccountLockedTime,pwdReset,pwdStartTime,pwdEndTime by dn.exact="{robot}" read
olcAccess: to dn.subtree="{groups}" attrs=entry,entryDN,objectClass,cn,member by dn.exact="{robot}" read
olcAccess: to dn.base="{suffix}" attrs=entry by dn.exact="{robot}" search
{replication}
dn: olcOverlay={{0}}dynlist,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcDynListConfig
olcOverlay: {{0}}dynlist
olcDynListAttrSet: groupOfURLs memberURL member+memberOf@groupOfNames*

dn: olcOverlay={{1}}ppolicy,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: {{1}}ppolicy
olcPPolicyDefault: cn=default,ou=policies,{suffix}
olcPPolicyUseLockout: TRUE

dn: olcOverlay={{2}}syncprov,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSyncProvConfig
olcOverlay: {{2}}syncprov
"""
# Both ways: each provider follows the other. In place of "localhost", libldap would compare the
# machine's name with the certificate.
REPLICATION = """\
olcMultiProvider: TRUE
olcSyncrepl: rid=001 provider=ldap://127.0.0.1:{port} starttls=critical tls_cacert="{ca}"
  tls_reqcert=demand bindmethod=simple binddn="{manager}" credentials={password}
  searchbase="{suffix}" type=refreshAndPersist retry="1 +" timeout=5
"""
DATA = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: lab
o: Lab

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=guests,{PEOPLE}
objectClass: organizationalUnit
ou: guests

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: ou=accounts,{SUFFIX}
objectClass: organizationalUnit
ou: accounts

dn: {ROBOT}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: robot
userPassword: {ROBOT_PASSWORD}

dn: ou=policies,{SUFFIX}
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,{SUFFIX}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: {MAX_FAILURES}
pwdMustChange: TRUE

dn: cn=aging,ou=policies,{SUFFIX}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: aging
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: {MAX_FAILURES}
pwdMaxAge: 86400
pwdExpireWarning: 86399
"""


def dn_of(uid, below=PEOPLE):
    return f"uid={uid},{below}"


def person(uid, below=PEOPLE, password=PASSWORD, **attributes):
    """Returns a person's entry in LDIF."""
    attributes = {"cn": f"{uid.capitalize()} Sample", "sn": "Sample"} | attributes
    lines = [f"{name}: {value}" for name, value in attributes.items()]
    return "\n".join(
        [f"dn: {dn_of(uid, below)}", "objectClass: inetOrgPerson", f"uid: {uid}"]
        + [f"userPassword:: {b64encode(password.encode()).decode()}", *lines, ""]
    )


def group(dn, *members):
    """Returns a group's entry in LDIF. A group without members is its own."""
    name = re.match("cn=([^,]+),", dn)[1]
    lines = [f"member: {member}" for member in members or [dn]]
    return "\n".join([f"dn: {dn}", "objectClass: groupOfNames", f"cn: {name}", *lines, ""])


# One person in each group; katherine's group is within a group of the users; margaret is in none; of
# twin, there are two.
SAMPLE = [
    DATA,
    *(person(uid) for uid in ("ada", "grace", "alan", "katherine", "margaret", "twin")),
    person("twin", f"ou=guests,{PEOPLE}"),
    group(ADMINS, dn_of("ada")),
    group(USERS, dn_of("grace"), dn_of("twin"), f"cn=chemistry,{GROUPS}"),
    group(AUDITORS, dn_of("alan")),
    group(f"cn=chemistry,{GROUPS}", f"cn=chromatography,{GROUPS}"),
    group(f"cn=chromatography,{GROUPS}", dn_of("katherine")),
]


class Slapd(LdapServer):
    """A slapd. It has data if there is `data`, which may contain operational attributes."""

    person, dn_of, users = staticmethod(person), staticmethod(dn_of), USERS

    def __init__(self, folder, certificate=None, data=None, number=1):
        """`certificate`: the files of the certificate and of its key, without which there is no TLS."""
        self.folder = folder
        # Ubuntu's AppArmor confines the program at its own path to the system's directories.
        self.program = shutil.copy(SLAPD, folder)
        self.certificate = certificate
        self.data = data
        self.number = number
        self.port = free_port()
        self.tls_port = free_port()
        self.log_path = folder / "log"
        self.process = None

    def create(self, other=None, ca=None):
        """Writes the configuration and the data. `other`: a Slapd to replicate with, whose certificate
        comes from `ca`."""
        tls = replication = ""
        if self.certificate:
            tls = "olcTLSCertificateFile: {}\nolcTLSCertificateKeyFile: {}\n".format(
                *self.certificate
            )
        if other:
            replication = REPLICATION.format(
                port=other.port,
                ca=ca.file,
                manager=MANAGER,
                password=MANAGER_PASSWORD,
                suffix=SUFFIX,
            )
        text = CONFIGURATION.format(
            folder=self.folder,
            number=self.number,
            tls=tls,
            replication=replication,
            schema=SCHEMA,
            suffix=SUFFIX,
            people=PEOPLE,
            groups=GROUPS,
            robot=ROBOT,
            manager=MANAGER,
            manager_password=MANAGER_PASSWORD,
        )
        for name in "config", "data":
            (self.folder / name).mkdir()
        self.load(0, text)
        if self.data:
            self.load(1, "\n".join(self.data))
        return self

    def load(self, database, ldif):
        """Adds entries while slapd does not run."""
        done = subprocess.run(
            [self.program, "-T", "add", "-F", self.folder / "config", "-n", str(database), "-w"],
            input=ldif,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self):
        """Starts it, every time on the same ports."""
        urls = [f"ldap://127.0.0.1:{self.port}"]
        if self.certificate:
            urls.append(f"ldaps://127.0.0.1:{self.tls_port}")
        with open(self.log_path, "ab") as log:
            # With -d, it stays in the foreground, and logs to its standard error.
            self.process = subprocess.Popen(
                [self.program, "-F", self.folder / "config", "-h", " ".join(urls), "-d", "stats"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self.accepts, "slapd accepts connections")
        return self

    def accepts(self):
        assert self.process.poll() is None, f"slapd has ended: {self.log}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return False
        return True

    @property
    def ldaps(self):
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def starttls(self):
        return f"ldap://localhost:{self.port}"

    def command(self, name):
        url = f"ldap://127.0.0.1:{self.port}"
        return [name, "-x", "-H", url, "-D", MANAGER, "-w", MANAGER_PASSWORD]

    def search(self, dn, *attributes):
        """Returns an entry's values of each attribute."""
        options = ("-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn)
        found = {}
        for line in self.tool("ldapsearch", *options, *attributes).splitlines():
            if line:
                name, _, value = line.partition(": ")
                found.setdefault(name, []).append(value)
        return found

    def has(self, dn, attribute="entryUUID", value=None):
        """Returns whether it has an entry with an attribute, or with a value of it."""
        try:
            values = self.search(dn, attribute).get(attribute, [])
        except AssertionError:
            return False
        return bool(values) if value is None else value in values

    def identifier(self, name):
        """Returns a person's identifier as the process returns it."""
        return self.search(dn_of(name), "entryUUID")["entryUUID"][0].replace("-", "")

    def binds(self, dn):
        """Returns how many binds with this name it got."""
        return self.log.count(f'BIND dn="{dn}" method=128')
