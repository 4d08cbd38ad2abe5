#!/usr/bin/env python3
"""Includes the auth server's snippets in nginx's configuration.

    include-auth-server ROOT DIR

ROOT is the root file system being built ("" for the running one), DIR is nginx's directory in it.
Reads these configurations and the files that they include: nginx-http.conf and nginx-https.conf
(the Flex's, each a complete configuration), nginx.conf, and meta-webserver's
sites-available/default_server.

In each server of an http block, replaces `location /auth { ... }` with an include of our location;
if no server of a configuration has that location, adds the include to every server. Adds an include
of our upstream to the http block. Keeps every other byte; a second run changes nothing. The includes
are glob patterns, so that nginx also starts without the snippets.

Refuses what cannot be replaced safely: prints file, line and reason, and exits with 1 without
changing any file. Needs Python 3.8, as BitBake does on the build host.
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

# Directives of a location /auth that may be dropped: our location has its own proxy settings, and
# options of logging, response headers and transfer are not essential. Any other directive, above
# all one that restricts access, must not be dropped silently.
REPLACEABLE = re.compile(
    r"proxy_\w+|client_\w+|keepalive_\w+|send_timeout|tcp_\w+|gzip\w*|access_log|error_log"
    r"|log_not_found|add_header|default_type|types|etag|expires"
)
# Paths of the auth server, to test whether a regular expression matches any of them.
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
# Maximum nesting of blocks and of includes. nginx itself has no limit.
MAX_DEPTH = 50
SPACE = " \t\r\n"


class Refused(Exception):
    """The configuration cannot be parsed or cannot be changed safely."""


@dataclass
class Statement:
    """`words ... ;` or `words ... { block }`. Positions are character offsets in the file."""

    words: list[str]
    start: int
    end: int = 0
    block: list[Statement] | None = None
    # Position after the opening brace.
    inside: int = 0

    @property
    def name(self):
        return self.words[0]


class File:
    """Parsed configuration file. `text` has one character per byte (Latin-1)."""

    def __init__(self, path, text):
        """Parses `text`. Raises `Refused` if it is not valid nginx syntax."""
        self.path = path
        self.text = text
        self.position = 0
        self.depth = 0
        if "\0" in text:
            self.refuse(text.index("\0"), "a configuration cannot contain a NUL byte")
        self.statements = self.parse(None)

    def refuse(self, position, reason):
        """Raises `Refused` with the file, the line of `position` and the reason."""
        line = self.text.count("\n", 0, position) + 1
        raise Refused(f"{self.path}:{line}: {reason}")

    # The syntax follows ngx_conf_parse() and ngx_conf_read_token() in src/core/ngx_conf_file.c.
    def parse(self, opened):
        """Returns the statements up to the end of the block of `opened`, or of the file if None."""
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
                    reason = f'cannot parse the program in "{statement.name}"'
                    self.refuse(statement.start, reason)
                statement.inside = self.position
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    self.refuse(statement.start, f"more than {MAX_DEPTH} nested blocks")
                statement.block = self.parse(statement)
                self.depth -= 1
            statement.end = self.position
            statements.append(statement)

    def statement(self):
        """Returns the next statement and its terminator, ";" or "{"; at the end of a block None and
        "}", at the end of the file None and ""."""
        words, start = [], 0
        while True:
            self.skip_space()
            here = self.position
            if here == len(self.text):
                if words:
                    self.refuse(
                        start, f'"{words[0]}" is not terminated by ";" or a block'
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
        """Reads a quoted word."""
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
        """Reads an unquoted word."""
        start = end = self.position
        before = ""
        while end < len(self.text):
            character = self.text[end]
            # After "$", "{" is part of the word: ${variable}.
            if character in SPACE + ";" or (character == "{" and before != "$"):
                break
            before = character
            end += 2 if character == "\\" else 1
        self.position = min(end, len(self.text))
        return unescape(self.text[start : self.position])


def unescape(text):
    """Replaces nginx's escape sequences."""
    return re.sub(
        r"\\([\"'\\trn])",
        lambda m: {"t": "\t", "r": "\r", "n": "\n"}.get(m[1], m[1]),
        text,
    )


def covers(pattern, path):
    """Returns whether an include of `pattern` matches the file `path` (glob(7))."""
    ours, theirs = path.split("/"), pattern.split("/")
    return len(ours) == len(theirs) and all(map(fnmatch.fnmatchcase, ours, theirs))


class Tree:
    """nginx's configuration below ROOT and the changes to make."""

    def __init__(self, root, directory, texts=None):
        """`texts`: contents of files by path, used instead of the files on disk. Raises `Refused`
        if `directory` is not an absolute path."""
        self.root = root.rstrip("/")
        self.directory = os.path.normpath(directory)
        if not self.directory.startswith("/"):
            raise Refused(f"{directory}: nginx's directory must be an absolute path")
        self.texts = texts or {}
        self.files = {}
        # Replacement texts by (start, end), by path.
        self.changes = {}
        self.upstream = f"{self.directory}/{UPSTREAM_FILE}"
        self.location = f"{self.directory}/{LOCATION_FILE}"
        self.snippets = self.upstream.format(""), self.location.format("")

    def real(self, path):
        """Resolves the symbolic links in `path`, relative to ROOT. Raises `Refused`."""
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
        """Returns the parsed file at `path` below ROOT.

        Raises `FileNotFoundError`, and `Refused` if the file cannot be read or parsed."""
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
                        f"{real}: cannot read the file: {error.strerror}"
                    ) from error
            self.files[real] = File(real, text)
        return self.files[real]

    def exists(self, name):
        return os.path.exists(self.real(f"{self.directory}/{name}"))

    def pattern(self, file, include):
        """Returns the path or glob pattern of an include statement. Raises `Refused`."""
        if len(include.words) != 2 or include.block is not None:
            file.refuse(include.start, '"include" needs exactly one argument')
        # The bytes of the path, whatever the locale.
        path = os.fsdecode(include.words[1].encode("latin-1"))
        # Relative to the directory of the main configuration file (ngx_conf_full_name()).
        return os.path.normpath(os.path.join(self.directory, path))

    def flat(self, file, statements, all_known=False, depth=0):
        """Yields statements as (file, statement), those of included files after their include.

        Raises `Refused`; with `all_known` also for an included file that does not exist. A pattern
        may match no file."""
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
                        reason = f"cannot check {path} for /auth: it does not exist"
                        file.refuse(statement.start, reason)
                    continue
                yield from self.flat(
                    included, included.statements, all_known, depth + 1
                )

    def change(self, file, start, end, text):
        """Plans the replacement of the characters from `start` to `end`."""
        self.changes.setdefault(file.path, {})[start, end] = text

    def insert(self, file, block, text):
        """Plans the insertion of a statement at the beginning of a block."""
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
        """Plans all changes. Raises `Refused`."""
        names = [name for name in (*WHOLE, MAIN) if self.exists(name)]
        if not names:
            known = ", ".join((*WHOLE, MAIN))
            raise Refused(f"{self.root}{self.directory}: found none of {known}")
        served = [self.plan_main(name) for name in names]
        if not any(served):
            raise Refused(
                f"{self.root}{self.directory}/{MAIN}: no http block has a server for /auth"
            )

    def plan_main(self, name):
        """Plans the changes to one configuration; returns whether it has a server.

        Raises `Refused`."""
        main = self.file(f"{self.directory}/{name}")
        blocks = [
            (file, statement)
            for file, statement in self.flat(main, main.statements)
            if statement.name == "http" and statement.block is not None
        ]
        if len(blocks) != 1:
            raise Refused(f"{main.path}: expected one http block, found {len(blocks)}")
        ((http_file, http),) = blocks
        items = list(self.flat(http_file, http.block))
        site = (
            self.file(f"{self.directory}/{SITE}")
            if name == MAIN and self.exists(SITE)
            else None
        )
        if site and site not in (file for file, _ in items):
            items += self.flat(site, site.statements)
        servers = [
            (f, s) for f, s in items if s.name == "server" and s.block is not None
        ]
        if site and site not in (file for file, _ in servers):
            raise Refused(f"{site.path}: no server block for /auth")
        if not servers:
            if name in WHOLE:
                http_file.refuse(http.start, "the http block has no server for /auth")
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
                    statement.start, f'an upstream named "{UPSTREAM}" already exists'
                )
        return True

    def plan_server(self, file, server):
        """Plans the replacement of the server's location /auth; returns whether the server had one
        or already includes ours. Raises `Refused`."""
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
            where.refuse(statement.start, "/auth is configured twice in one server")
        for where, location in literal:
            for inner in location.block:
                if not REPLACEABLE.fullmatch(inner.name):
                    reason = f'"{inner.name}" in location /auth would be lost'
                    where.refuse(inner.start, reason)
            text = f"include {self.location.format('*')};"
            self.change(where, location.start, location.end, text)
        return bool(literal or ours)

    def includes_location(self, file, include):
        """Returns whether an include statement includes our location."""
        return covers(self.pattern(file, include), self.snippets[1])

    @staticmethod
    def is_literal_auth(file, location):
        """Returns whether a location is a plain `location /auth`. Raises `Refused`."""
        if location.block is None:
            file.refuse(location.start, '"location" has no block')
        return location.words[1:] == ["/auth"]

    def check_location(self, file, location):
        """Raises `Refused` if a location, or one nested in it, matches requests below /auth."""
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
            taken = "the auth server's snippet uses that name"
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
                    "our location must be included in a server, not in a location",
                )

    @staticmethod
    def split_location(file, location):
        """Returns modifier and path, which may be one word (ngx_http_core_location()).

        Raises `Refused`."""
        arguments = location.words[1:]
        if len(arguments) == 2 and arguments[0] in ("=", "^~", "~", "~*"):
            return tuple(arguments)
        if len(arguments) == 1:
            return re.fullmatch(r"(=|\^~|~\*|~|)(.*)", arguments[0], re.DOTALL).groups()
        return file.refuse(location.start, f'cannot parse "{" ".join(location.words)}"')


def regex_takes_auth(regex, ignore_case):
    """Returns why a location's regular expression is refused, or None."""
    # Python reads [[:alpha:]], a class of PCRE, as another set without an error.
    if "[:" in regex:
        return 'cannot tell whether it matches requests below /auth: it contains "[:"'
    # Converts named groups from PCRE's syntax to Python's.
    python = re.sub(r"\(\?<(?![=!])", "(?P<", regex)
    try:
        compiled = re.compile(python, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        return f"cannot tell whether it matches requests below /auth: {error}"
    if any(map(compiled.search, ROUTES)) or re.search(
        r"\bauth\b", regex, re.IGNORECASE
    ):
        return "it matches requests below /auth"
    return None


def changed(file, changes):
    """Returns the text of a file after the changes."""
    text = file.text
    for (start, end), replacement in sorted(changes.items(), reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def write(texts):
    """Writes new files beside the old ones, then replaces the old ones. Raises `OSError`."""
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


def include_auth_server(root, directory):
    """Changes the configuration. Raises `Refused`, and `OSError` if a file cannot be written."""
    tree = Tree(root, directory)
    tree.plan()
    texts = {
        path: changed(tree.files[path], changes)
        for path, changes in tree.changes.items()
    }
    # Checks the result: a second run must find nothing to change.
    again = Tree(root, directory, texts)
    again.plan()
    if again.changes:
        raise Refused(
            f"{next(iter(again.changes))}: a second run would change it again"
        )
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
