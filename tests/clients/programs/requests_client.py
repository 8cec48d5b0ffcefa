import requests

from steps import take

session = requests.Session()


def ask(url, headers, file):
    if file:
        with open(file, "rb") as upload:
            response = session.post(url, headers=headers, files={"file": upload}, timeout=20)
    else:
        response = session.get(url, headers=headers, timeout=20)
    return response.status_code, response.headers.get("X-Echo"), response.text


take(ask)
