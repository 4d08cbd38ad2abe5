"""The examples of the OpenAPI document, and the comparison of a response with one of them."""

import json
import re

from support import ROOT

DOCS = ROOT / "src/http/docs"
EXAMPLES = json.loads((DOCS / "examples.json").read_text())
LOGIN = next(each for each in EXAMPLES if each.get("name") == "password")
# Configuration of a directory, as a client gives it.
DIRECTORY = next(each for each in EXAMPLES if each["operation"] == "configureDirectory")
DIRECTORY = DIRECTORY["request"]["data"]
# Fields whose values differ each time. Strings are as long as in the example, except for the commit.
TOKENS = {"access_token", "refresh_token", "temporaryPassword"}
VARIES = {"exp", "iat", "uptimeSeconds", "gitSha", *TOKENS}
# Where the examples say that the server is.
ORIGIN = "http://127.0.0.1:33950"


def same(answer, example, field=None):
    """Returns whether a response is that of the example, except for what differs each time."""
    if field in VARIES:
        fits = field not in TOKENS or re.fullmatch(rf"\S{{{len(example)}}}", answer)
        return type(answer) is type(example) and bool(answer) and bool(fits)
    if isinstance(example, dict):
        return list(answer) == list(example) and all(
            same(answer[name], value, name) for name, value in example.items()
        )
    if isinstance(example, list):
        return len(answer) == len(example) and all(map(same, answer, example))
    return type(answer) is type(example) and answer == example


def contains(answer, excerpt):
    """Returns whether a response contains an excerpt of it."""
    if isinstance(excerpt, dict):
        return all(contains(answer[name], value) for name, value in excerpt.items())
    return answer.startswith(excerpt)


def answers(text, port, response, excerpt):
    """Returns whether the body of a response from a server at a port is that of an example."""
    text = text.replace(f"http://127.0.0.1:{port}", ORIGIN)
    parsed = text if isinstance(response, str) else json.loads(text)
    return (contains if excerpt else same)(parsed, response)
