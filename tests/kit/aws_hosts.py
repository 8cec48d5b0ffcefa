"""Says at which host each service of AWS is, and how it is signed for there, as botocore knows it: a JSON list."""
import json
import re
import sys

import botocore.session

session = botocore.session.get_session()
resolver = session.get_component("endpoint_resolver")
loader = session.get_component("data_loader")
found = set()
for service in loader.list_available_services("service-2"):
    about = loader.load_service_model(service, "service-2")["metadata"]
    if "v4" not in about.get("auth", [about.get("signatureVersion", "")])[0]:
        continue
    prefix = about["endpointPrefix"]
    for region in sys.argv[1:]:
        for variant in ({}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}):
            try:
                partition = resolver.get_partition_for_region(region)
                at = resolver.construct_endpoint(prefix, region, partition, **variant)
            except Exception:
                continue
            # Names of botocore's own, at which nothing is.
            if not at or re.search(r"\.aws-([a-z-]+-)?global\.", at["hostname"]):
                continue
            scope = at.get("credentialScope", {})
            name = scope.get("service") or about.get("signingName") or prefix
            signed = scope.get("region") or at["endpointName"]
            found.add((at["hostname"], signed, name))
print(json.dumps(sorted(found)))
