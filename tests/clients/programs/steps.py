import json
import os
import sys

LONGEST = 65536
"""Longer bodies are told by their length alone."""


def steps():
    """The steps from stdin, a line of `name, url, key, file` with tabs between: name, url, headers, file."""
    for line in sys.stdin:
        name, url, key, file = line.rstrip("\n").split("\t")
        headers = {"Authorization": os.environ["AUTHORIZATION"]}
        if key:
            headers["Locum-Authorization"] = "Bearer " + key
        yield name, url, headers, file


def say(name, **took):
    """Says what came of a step: status, echo and body, or error."""
    if len(took.get("body", "")) > LONGEST:
        took["body"] = "%d bytes" % len(took["body"])
    print(json.dumps({"name": name, **took}), flush=True)


def take(ask):
    """Takes each step by `ask`, which gives status, echo and body."""
    for name, url, headers, file in steps():
        try:
            status, echo, body = ask(url, headers, file)
        except Exception as error:
            say(name, error="%s: %s" % (type(error).__name__, error))
        else:
            say(name, status=status, echo=echo or "", body=body)
