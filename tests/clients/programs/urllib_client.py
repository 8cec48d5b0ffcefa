import urllib.error
import urllib.request

from steps import take


def ask(url, headers, file):
    # What has no length of its own goes out in chunks.
    data = open(file, "rb") if file else None
    if file:
        headers["Content-Type"] = "application/octet-stream"
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, response.headers["X-Echo"], response.read().decode("latin1")


take(ask)
