"""What moto 5.2.5 does not speak: RPC v2 CBOR, in which the SDK for Rust asks CloudWatch.

`speaking_cbor` stands before moto. It reads a request with botocore's own reader of CBOR, hands moto the same
request in JSON, and writes moto's answer with botocore's own writer. So what the SDK says and understands is judged
by an implementation that is not ours.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import io
import json
from collections.abc import Callable

import botocore.session
from botocore.parsers import JSONParser, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

PROTOCOL = "rpc-v2-cbor"


def speaking_cbor(application: Callable) -> Callable:
    """The application, which then also answers requests in CBOR."""
    model = botocore.session.get_session().get_service_model("cloudwatch")

    def answer(environ, start_response):
        if environ.get("HTTP_SMITHY_PROTOCOL") != PROTOCOL:
            return application(environ, start_response)
        name = environ["PATH_INFO"].rsplit("/", 1)[1]
        operation = model.operation_model(name)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        asked = RpcV2CBORParser().parse_data_item(
            io.BufferedReader(io.BytesIO(environ["wsgi.input"].read(length)))
        )
        unknown = set(asked) - set(operation.input_shape.members)
        assert not unknown, f"{name} has no {unknown}"
        body = json.dumps(asked).encode()
        environ |= {
            "PATH_INFO": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_AMZ_TARGET": f"{model.metadata['targetPrefix']}.{name}",
            "wsgi.input": io.BytesIO(body),
        }
        del environ["HTTP_SMITHY_PROTOCOL"]
        said = {}

        def remember(status, headers, exc_info=None):
            said.update(status=status, headers=headers)

        told = b"".join(application(environ, remember))
        number = int(said["status"].split()[0])
        if number >= 300:
            error = json.loads(told)
            shape = model.shape_for("InternalServiceFault")
            told = in_cbor({"Message": error.get("message", "")}, shape)
            code = error.get("__type", "InternalFailure").rsplit("#", 1)[-1]
            said["headers"].append(("x-amzn-query-error", f"{code};Sender"))
        else:
            response = {"body": told, "headers": {}, "status_code": number}
            parsed = JSONParser().parse(response, operation.output_shape)
            parsed.pop("ResponseMetadata", None)
            told = in_cbor(parsed, operation.output_shape)
        dropped = ("content-type", "content-length")
        headers = [pair for pair in said["headers"] if pair[0].lower() not in dropped]
        headers += [
            ("content-type", "application/cbor"),
            ("content-length", str(len(told))),
            ("smithy-protocol", PROTOCOL),
        ]
        start_response(said["status"], headers)
        return [told]

    return answer


def in_cbor(value, shape) -> bytes:
    written = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(written, value, shape)
    return bytes(written)
