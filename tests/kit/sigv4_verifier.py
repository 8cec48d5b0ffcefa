"""Says what botocore would sign: JSON lines in, JSON lines out. Knows nothing of Locum."""
import hashlib
import json
import sys

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

EMPTY = hashlib.sha256(b"").hexdigest()


def signed_as(ask):
    """The signature of a request, and of each of its chunks and trailers."""
    kind = S3SigV4Auth if ask["service"] == "s3" else SigV4Auth
    auth = kind(Credentials(ask["accessKeyId"], ask["secretAccessKey"]), ask["service"], ask["region"])
    request = AWSRequest(ask["method"], ask["url"], data=bytes.fromhex(ask["body"]))
    for name, value in ask["headers"]:
        request.headers[name] = value
    request.context["timestamp"] = ask["timestamp"]
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    chain = [signature]
    scope = auth.credential_scope(request)
    for chunk in ask.get("chunks", []):
        data = hashlib.sha256(bytes.fromhex(chunk)).hexdigest()
        parts = ["AWS4-HMAC-SHA256-PAYLOAD", ask["timestamp"], scope, chain[-1], EMPTY, data]
        chain.append(auth.signature("\n".join(parts), request))
    if "trailers" in ask:
        data = hashlib.sha256(ask["trailers"].encode()).hexdigest()
        parts = ["AWS4-HMAC-SHA256-TRAILER", ask["timestamp"], scope, chain[-1], data]
        chain.append(auth.signature("\n".join(parts), request))
    return {"canonical": canonical, "chain": chain}


for line in sys.stdin:
    print(json.dumps(signed_as(json.loads(line))), flush=True)
