#!/usr/bin/env python3
"""Puts the auth server's snippets into nginx's configuration.

    include-auth-server ROOT DIR

ROOT is the root file system in the making ("" for the running one), DIR nginx's folder in it. The
configurations that are read there: nginx-http.conf and nginx-https.conf (the Flex's, each whole),
nginx.conf, and meta-webserver's sites-available/default_server, with all that they include.

In each server of an http block, `location /auth { ... }` is replaced by an include of our location;
where no server of a configuration has it, each gets the include. The http block gets an include of
our upstream. All else stays as it is, to the byte, and a second run changes nothing. The includes
are patterns, so that nginx starts without the snippets as well.

What cannot be replaced safely is refused: exit code 1, and a line that names file, line and reason.
Then no file is changed. Runs with the Python that BitBake needs on the host, 3.8.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import sys
import tempfile
from dataclasses import dataclass

WHOLE = "nginx-http.conf", "nginx-https.conf"
MAIN = "nginx.conf"
SITE = "sites-available/default_server"
UPSTREAM = "opentrons-auth-server"
NAMED_LOCATION = "@opentrons-auth-server-413"
UPSTREAM_FILE = "conf.d/opentrons-auth-server{}.conf"
LOCATION_FILE = "server-conf.d/opentrons-auth-server{}.conf"

# What a location /auth may hold and lose: how requests are passed on, which our location does in
# its own way, and what is said of them. Anything else, above all who may ask, would be lost unseen.
REPLACEABLE = re.compile(
    r"proxy_\w+|client_\w+|keepalive_\w+|send_timeout|tcp_\w+|gzip\w*|access_log|error_log"
    r"|log_not_found|add_header|default_type|types|etag|expires"
)
# Paths of the auth server, to see whether a regular expression takes some of them.
ROUTES = (
    "/auth",
    "/auth/",
    "/auth/.well-known/oauth-authorization-server",
    "/auth/hello",
    "/auth/oauth2/introspect",
    "/auth/oauth2/revoke",
    "/auth/oauth2/token",
    "/auth/openapi.json",
    "/auth/redoc",
    "/auth/settings",
    "/auth/settings/accessControlEnabled",
    "/auth/users",
    "/auth/users/byUsername/ada",
    "/auth/users/byUsername/ada/loginStatus",
    "/auth/users/byUsername/ada/resetPassword",
    "/auth/users/self",
    "/auth/users/self/validatePassword",
)
# Of blocks within blocks, and of includes within includes. nginx itself has no limit.
MAX_DEPTH = 50
SPACE = " \t\r\n"


class Refused(Exception):
    """The configuration is not understood, or cannot be changed safely."""


@dataclass
class Statement:
    """`words ... ;` or `words ... { block }`; positions count characters of the file."""

    words: list[str]
    start: int
    end: int = 0
    block: list[Statement] | None = None
    # Just after the opening brace.
    inside: int = 0

    @property
    def name(self):
        return self.words[0]


class File:
    """A file of the configuration, parsed. `text` has one character per byte."""

    def __init__(self, path, text):
        """Raises `Refused`."""
        self.path = path
        self.text = text
        self.position = 0
        self.depth = 0
        self.statements = self.parse(None)

    def refuse(self, position, reason):
        line = self.text.count("\n", 0, position) + 1
        raise Refused(f"{self.path}:{line}: {reason}")

    # As ngx_conf_parse() and ngx_conf_read_token() of src/core/ngx_conf_file.c have it.
    def parse(self, opened):
        """The statements up to the end of the block that `opened` begins, or of the file."""
        statements = []
        while True:
            statement, stop = self.statement()
            if stop == "}" and opened is None:
                self.refuse(self.position - 1, 'unexpected "}"')
            if stop == "" and opened is not None:
                self.refuse(opened.start, f'the block of "{opened.name}" is not closed')
            if statement is None:
                return statements
            if stop == "{":
                if statement.name.endswith("_block"):
                    reason = (
                        f'"{statement.name}" holds a program, which is not read here'
                    )
                    self.refuse(statement.start, reason)
                statement.inside = self.position
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    self.refuse(
                        statement.start, f"more than {MAX_DEPTH} blocks in each other"
                    )
                statement.block = self.parse(statement)
                self.depth -= 1
            statement.end = self.position
            statements.append(statement)

    def statement(self):
        """The next statement, up to ";" or "{"; or None and "}" or "" (the file's end)."""
        words, start = [], 0
        while True:
            self.skip_space()
            here = self.position
            if here == len(self.text):
                if words:
                    self.refuse(
                        start, f'"{words[0]}" ends neither with ";" nor with a block'
                    )
                return None, ""
            character = self.text[here]
            if character in ";{":
                if not words:
                    self.refuse(here, f'unexpected "{character}"')
                self.position += 1
                return Statement(words, start), character
            if character == "}":
                if words:
                    self.refuse(here, f'unexpected "}}" after "{words[0]}"')
                self.position += 1
                return None, character
            if not words:
                start = here
            words.append(self.quoted() if character in "\"'" else self.word())

    def skip_space(self):
        match = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*").match(self.text, self.position)
        self.position = match.end()

    def quoted(self):
        start = self.position
        quote = self.text[start]
        end = start + 1
        while self.text[end : end + 1] != quote:
            if end >= len(self.text):
                self.refuse(start, f"the quote {quote} is not closed")
            end += 2 if self.text[end] == "\\" else 1
        self.position = end + 1
        after = self.text[self.position : self.position + 1]
        if after and after not in SPACE + ";{)":
            self.refuse(self.position, f'unexpected "{after}" after the quote {quote}')
        return unescape(self.text[start + 1 : end])

    def word(self):
        start = end = self.position
        before = ""
        while end < len(self.text):
            character = self.text[end]
            # "{" belongs to the word after "$": ${variable}.
            if character in SPACE + ";" or (character == "{" and before != "$"):
                break
            before = character
            end += 2 if character == "\\" else 1
        self.position = min(end, len(self.text))
        return unescape(self.text[start : self.position])


def unescape(text):
    return re.sub(
        r"\\([\"'\\trn])",
        lambda m: {"t": "\t", "r": "\r", "n": "\n"}.get(m[1], m[1]),
        text,
    )


def covers(pattern, path):
    """Whether an include of `pattern` takes in the file `path`, as glob(7) matches."""
    ours, theirs = path.split("/"), pattern.split("/")
    return len(ours) == len(theirs) and all(map(fnmatch.fnmatchcase, ours, theirs))


class Tree:
    """nginx's configuration below ROOT, and the changes that it needs."""

    def __init__(self, root, folder, texts=None):
        """`texts`: what files hold, by path, in place of what is on the disk."""
        self.root = root.rstrip("/")
        self.folder = os.path.normpath(folder)
        if not self.folder.startswith("/"):
            raise Refused(f"{folder}: nginx's folder is a path from the root on")
        self.texts = texts or {}
        self.files = {}
        # By path: replacements, by (start, end).
        self.changes = {}
        self.upstream = f"{self.folder}/{UPSTREAM_FILE}"
        self.location = f"{self.folder}/{LOCATION_FILE}"
        self.snippets = self.upstream.format(""), self.location.format("")

    def real(self, path):
        """Where `path` of the root file system is, links followed as the robot would."""
        done, left, links = [], path.split("/"), 0
        while left:
            part = left.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            here = "/".join([self.root, *done, part])
            if not os.path.islink(here):
                done.append(part)
                continue
            links += 1
            if links > 40:
                raise Refused(f"{self.root}{path}: too many symbolic links")
            target = os.readlink(here)
            if target.startswith("/"):
                done = []
            left = target.split("/") + left
        return "/".join([self.root, *done])

    def file(self, path):
        """The file at `path` of the root file system. Raises `Refused`, `FileNotFoundError`."""
        real = self.real(path)
        if real not in self.files:
            text = self.texts.get(real)
            if text is None:
                try:
                    with open(real, "rb") as file:
                        text = file.read().decode("latin-1")
                except FileNotFoundError:
                    raise
                except OSError as error:
                    raise Refused(
                        f"{real}: cannot be read: {error.strerror}"
                    ) from error
            self.files[real] = File(real, text)
        return self.files[real]

    def exists(self, name):
        return os.path.exists(self.real(f"{self.folder}/{name}"))

    def pattern(self, file, include):
        """The path, or the pattern of paths, that an include statement names."""
        if len(include.words) != 2 or include.block is not None:
            file.refuse(include.start, '"include" takes one file')
        # From the folder of the main configuration, which is nginx's (ngx_conf_full_name()).
        return os.path.normpath(os.path.join(self.folder, include.words[1]))

    def flat(self, file, statements, all_known=False, depth=0):
        """Statements as (file, statement), those of included files after their include.

        `all_known`: an included file that is not there is refused; a pattern may match none."""
        if depth > MAX_DEPTH:
            raise Refused(f"{file.path}: files include each other")
        for statement in statements:
            yield file, statement
            if statement.name != "include":
                continue
            pattern = self.pattern(file, statement)
            magic = glob.has_magic(pattern)
            found = [pattern]
            if magic:
                found = sorted(glob.glob(glob.escape(self.root) + pattern))
                found = [path[len(self.root) :] for path in found]
            for path in found:
                if path in self.snippets:
                    continue
                try:
                    included = self.file(path)
                except FileNotFoundError:
                    if all_known and not magic:
                        reason = f"{path} is not there to see whether it has /auth"
                        file.refuse(statement.start, reason)
                    continue
                yield from self.flat(
                    included, included.statements, all_known, depth + 1
                )

    def change(self, file, start, end, text):
        self.changes.setdefault(file.path, {})[start, end] = text

    def insert(self, file, block, text):
        """Adds a statement to the beginning of a block."""
        newline = "\r\n" if "\r\n" in file.text else "\n"
        rest = re.compile(r"[ \t]*(#[^\n]*?)?\r?\n").match(file.text, block.inside)
        if not rest:
            self.change(file, block.inside, block.inside, f" {text}")
            return
        before = file.text[: block.start]
        indent = (
            re.search(r"[ \t]*$", before)[0]
            if re.search(r"(^|\n)[ \t]*$", before)
            else ""
        )
        following = re.compile(r"([ \t]*)[^ \t\r\n}]").match(file.text, rest.end())
        indent = following[1] if following else f"{indent}    "
        self.change(file, rest.end(), rest.end(), f"{indent}{text}{newline}")

    def plan(self):
        """Decides all changes. Raises `Refused`."""
        names = [name for name in (*WHOLE, MAIN) if self.exists(name)]
        if not names:
            known = ", ".join((*WHOLE, MAIN))
            raise Refused(f"{self.root}{self.folder}: there is none of {known}")
        served = [self.plan_main(name) for name in names]
        if not any(served):
            raise Refused(
                f"{self.root}{self.folder}/{MAIN}: no http block has a server for /auth"
            )

    def plan_main(self, name):
        """Decides the changes of one whole configuration; whether it has a server."""
        main = self.file(f"{self.folder}/{name}")
        blocks = [
            (file, statement)
            for file, statement in self.flat(main, main.statements)
            if statement.name == "http" and statement.block is not None
        ]
        if len(blocks) != 1:
            raise Refused(
                f"{main.path}: it has {len(blocks)} http blocks in place of one"
            )
        ((http_file, http),) = blocks
        items = list(self.flat(http_file, http.block))
        site = (
            self.file(f"{self.folder}/{SITE}")
            if name == MAIN and self.exists(SITE)
            else None
        )
        if site and site not in (file for file, _ in items):
            items += self.flat(site, site.statements)
        servers = [
            (f, s) for f, s in items if s.name == "server" and s.block is not None
        ]
        if site and site not in (file for file, _ in servers):
            raise Refused(f"{site.path}: there is no server block to put /auth in")
        if not servers:
            if name in WHOLE:
                http_file.refuse(
                    http.start, "the http block has no server to put /auth in"
                )
            return False
        found = [self.plan_server(file, server) for file, server in servers]
        if not any(found):
            for file, server in servers:
                self.insert(file, server, f"include {self.location.format('*')};")
        included = [self.pattern(f, s) for f, s in items if s.name == "include"]
        if not any(covers(pattern, self.snippets[0]) for pattern in included):
            self.insert(http_file, http, f"include {self.upstream.format('*')};")
        for file, statement in items:
            if statement.words[:2] == ["upstream", UPSTREAM]:
                file.refuse(
                    statement.start, f'an upstream is named "{UPSTREAM}" already'
                )
        return True

    def plan_server(self, file, server):
        """Replaces the server's location /auth; whether it had one, or includes ours."""
        literal, ours = [], []
        for where, statement in self.flat(file, server.block, all_known=True):
            if statement.name == "location":
                if self.is_literal_auth(where, statement):
                    literal.append((where, statement))
                else:
                    self.check_location(where, statement)
            elif statement.name == "include" and self.includes_location(
                where, statement
            ):
                ours.append((where, statement))
        if len(literal) + len(ours) > 1:
            where, statement = (literal + ours)[1]
            where.refuse(
                statement.start, "/auth comes twice in one server: leave one of them"
            )
        for where, location in literal:
            for inner in location.block:
                if not REPLACEABLE.fullmatch(inner.name):
                    reason = f'"{inner.name}" in location /auth would be lost by its replacement'
                    where.refuse(inner.start, reason)
            text = f"include {self.location.format('*')};"
            self.change(where, location.start, location.end, text)
        return bool(literal or ours)

    def includes_location(self, file, include):
        return covers(self.pattern(file, include), self.snippets[1])

    @staticmethod
    def is_literal_auth(file, location):
        if location.block is None:
            file.refuse(location.start, '"location" has no block')
        return location.words[1:] == ["/auth"]

    def check_location(self, file, location):
        """Refuses a location, or one within it, that takes requests below /auth."""
        if location.block is None:
            file.refuse(location.start, '"location" has no block')
        written = " ".join(location.words)
        modifier, path = self.split_location(file, location)
        taken = None
        if modifier in ("~", "~*"):
            taken = regex_takes_auth(path, modifier == "~*")
        elif (path + "/").startswith("/auth/"):
            taken = "only the plain location /auth of a server can be replaced"
        elif path == NAMED_LOCATION:
            taken = "our own location has that name"
        if taken:
            file.refuse(location.start, f'"{written}": {taken}')
        for where, statement in self.flat(file, location.block):
            if statement.name == "location":
                self.check_location(where, statement)
            elif statement.name == "include" and self.includes_location(
                where, statement
            ):
                where.refuse(
                    statement.start,
                    "our location belongs into a server, not a location",
                )

    @staticmethod
    def split_location(file, location):
        """Modifier and path. The modifier may be a word of its own or not (ngx_http_core_location())."""
        arguments = location.words[1:]
        if len(arguments) == 2 and arguments[0] in ("=", "^~", "~", "~*"):
            return tuple(arguments)
        if len(arguments) == 1:
            return re.fullmatch(r"(=|\^~|~\*|~|)(.*)", arguments[0], re.DOTALL).groups()
        return file.refuse(
            location.start, f'"{" ".join(location.words)}" is not understood'
        )


def regex_takes_auth(regex, ignore_case):
    """Why a location's regular expression is refused, or None."""
    # Named groups, as PCRE writes them.
    python = re.sub(r"\(\?<(?![=!])", "(?P<", regex)
    try:
        compiled = re.compile(python, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        return f"cannot tell whether it takes requests below /auth: {error}"
    if any(map(compiled.search, ROUTES)) or re.search(
        r"\bauth\b", regex, re.IGNORECASE
    ):
        return "it takes requests below /auth"
    return None


def changed(file, changes):
    """The file's text after the changes."""
    text = file.text
    for (start, end), replacement in sorted(changes.items(), reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def write(texts):
    """Writes all files beside the old ones, and then exchanges them."""
    written = []
    try:
        for path, text in texts.items():
            old = os.stat(path)
            handle, new = tempfile.mkstemp(
                prefix=".include-auth-server-", dir=os.path.dirname(path)
            )
            written.append((new, path))
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode("latin-1"))
                os.fsync(file.fileno())
            if (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
                os.chown(new, old.st_uid, old.st_gid)
            os.chmod(new, old.st_mode & 0o7777)
        while written:
            os.replace(*written[0])
            del written[0]
    finally:
        for new, _ in written:
            os.unlink(new)


def include_auth_server(root, folder):
    """Raises `Refused`, and `OSError` when a file cannot be written."""
    tree = Tree(root, folder)
    tree.plan()
    texts = {
        path: changed(tree.files[path], changes)
        for path, changes in tree.changes.items()
    }
    # What was made is read again: it has to be what this program takes for done.
    again = Tree(root, folder, texts)
    again.plan()
    if again.changes:
        raise Refused(f"{next(iter(again.changes))}: the change would not be complete")
    write(texts)


def main():
    if len(sys.argv) != 3:
        print("usage: include-auth-server ROOT DIR", file=sys.stderr)
        return 2
    try:
        include_auth_server(*sys.argv[1:])
    except (Refused, OSError) as error:
        print(f"include-auth-server: {error}; no file was changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
