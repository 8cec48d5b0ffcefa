import httpx

from steps import take

client = httpx.Client(follow_redirects=True, timeout=20)


def ask(url, headers, file):
    if file:
        with open(file, "rb") as upload:
            response = client.post(url, headers=headers, files={"file": upload})
    else:
        response = client.get(url, headers=headers)
    return response.status_code, response.headers.get("X-Echo"), response.text


take(ask)
