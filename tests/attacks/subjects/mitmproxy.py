# mitmproxy as its users make an injecting proxy of it: by the address that is called, in any header, and
# with the secret masked in what comes back.
import json
import os
import socket

from mitmproxy import http

with open(os.environ["PLOT"]) as file:
    PLOT = json.load(file)

SECRETS = {
    (sink["host"], sink["port"]): sink["secret"] for sink in PLOT["sinks"].values() if "secret" in sink
}

resolve = socket.getaddrinfo


def local(host, *rest, **named):
    """Names under .localhost are this machine (RFC 6761, section 6.3), which glibc leaves to a plugin."""
    return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = local


def request(flow: http.HTTPFlow) -> None:
    secret = SECRETS.get((flow.request.host, flow.request.port))
    if secret is None:
        return
    for name, value in flow.request.headers.items(multi=True):
        if PLOT["placeholder"] in value:
            flow.request.headers[name] = value.replace(PLOT["placeholder"], secret)


def response(flow: http.HTTPFlow) -> None:
    secret = SECRETS.get((flow.request.host, flow.request.port))
    if secret is None or flow.response is None:
        return
    hidden = "*" * len(secret)
    for name, value in flow.response.headers.items(multi=True):
        if secret in value:
            flow.response.headers[name] = value.replace(secret, hidden)
    content = flow.response.content
    if content and secret.encode() in content:
        flow.response.content = content.replace(secret.encode(), hidden.encode())
