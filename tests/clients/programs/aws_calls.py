"""Calls AWS as a program does that knows of no Locum, but for where it is."""
import io
import json
import os
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

ENDPOINT = os.environ["ENDPOINT"]
STYLE = {"addressing_style": os.environ.get("STYLE", "auto")}
KEY = os.environ.get("GATEWAY_KEY")


def show_key(request, **_):
    request.headers["Locum-Authorization"] = "Bearer " + KEY


def client(service, signature_version=None):
    config = Config(s3=STYLE, retries={"max_attempts": 1}, signature_version=signature_version)
    made = boto3.client(service, endpoint_url=ENDPOINT.format(service=service), config=config)
    if KEY:
        made.meta.events.register("before-send.*", show_key)
    return made


s3 = client("s3")
large = os.urandom(11 * 1024 * 1024)
s3.put_object(Bucket="bucket", Key="a b+c/d", Body=b"0123456789", Metadata={"note": "two  blanks"})
part = s3.get_object(Bucket="bucket", Key="a b+c/d", Range="bytes=2-4")["Body"].read().decode()
s3.upload_fileobj(io.BytesIO(large), "bucket", "large", Config=TransferConfig(multipart_threshold=6 << 20))
whole = s3.get_object(Bucket="bucket", Key="large")["Body"].read()
s3.put_object(Bucket="bucket", Key="sum", Body=b"checked", ChecksumAlgorithm="SHA256")
presigned = None
if not KEY:
    presigned = []
    for version in ("s3", "s3v4"):
        url = client("s3", version).generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b+c/d"})
        presigned.append(urllib.request.urlopen(url).read().decode())
listed = [one["Key"] for one in s3.list_objects_v2(Bucket="bucket", Prefix="")["Contents"]]
item = client("dynamodb").get_item(TableName="table", Key={"id": {"S": "x" * 1000}})["Item"]
said = client("lambda").invoke(FunctionName="f", Payload=b'{"a":1}')["Payload"].read().decode()
print(
    json.dumps(
        {
            "part": part,
            "whole": whole == large,
            "presigned": presigned,
            "listed": listed,
            "item": item["id"]["S"] == "x" * 1000,
            "lambda": said,
            "sqs": client("sqs").send_message(QueueUrl=ENDPOINT.format(service="sqs") + "/q", MessageBody="hi")["MessageId"],
            "sns": client("sns").publish(TopicArn="arn:aws:sns:eu-west-1:1:t", Message="hi")["MessageId"],
            "sts": client("sts").get_caller_identity()["Account"],
        }
    )
)
