import json
import os

import requests

headers = {"Authorization": os.environ["PLACEHOLDER"]}
if "KEY" in os.environ:
    headers["Locum-Authorization"] = "Bearer " + os.environ["KEY"]
response = requests.get(os.environ["URL"], headers=headers, timeout=10)
print(json.dumps({"status": response.status_code, "body": response.text, "echo": response.headers.get("X-Echo", "")}))
