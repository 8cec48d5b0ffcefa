import asyncio

import aiohttp

from steps import say, steps


async def ask(session, url, headers, file):
    form = aiohttp.FormData()
    if file:
        form.add_field("file", open(file, "rb"), filename="upload.bin")
    asking = session.post(url, headers=headers, data=form) if file else session.get(url, headers=headers)
    async with asking as response:
        return {"status": response.status, "echo": response.headers.get("X-Echo", ""), "body": await response.text()}


async def main():
    async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(20)) as session:
        for name, url, headers, file in steps():
            try:
                say(name, **await ask(session, url, headers, file))
            except Exception as error:
                say(name, error="%s: %s" % (type(error).__name__, error))


asyncio.run(main())
