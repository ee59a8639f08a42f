"""moto's server behind the protocol that today's SDKs speak to CloudWatch.

moto 5.2 answers CloudWatch in JSON and Query, not in Smithy RPC v2 CBOR. This front turns a CBOR request into moto's
JSON and its answer back into CBOR; everything else, and all of the behaviour, is moto's own.

    python moto_cbor.py PORT
"""

import gzip
import io
import json
import struct
import sys

from botocore.parsers import RpcV2CBORParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

TARGET = "GraniteServiceVersion20100801"


def decode(body):
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    if n < 1 << 16:
        return bytes([major << 5 | 25]) + struct.pack(">H", n)
    return bytes([major << 5 | 26]) + struct.pack(">I", n)


def encode(value, key=""):
    if isinstance(value, dict):
        items = ((k, v) for k, v in value.items() if v is not None)
        pairs = [encode(k) + encode(v, k) for k, v in items]
        return head(5, len(pairs)) + b"".join(pairs)
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(encode(v, key) for v in value)
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, bool) or value is None:
        return {True: b"\xf5", False: b"\xf4", None: b"\xf6"}[value]
    tag = b"\xc1" if key == "Timestamps" else b""
    return tag + b"\xfb" + struct.pack(">d", float(value))


def front(moto):
    def app(environ, start_response):
        if environ.get("HTTP_SMITHY_PROTOCOL") != "rpc-v2-cbor":
            return moto(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.pop("HTTP_CONTENT_ENCODING", "") == "gzip":
            body = gzip.decompress(body)
        text = json.dumps(decode(body), default=lambda time: time.timestamp()).encode()
        operation = environ["PATH_INFO"].rsplit("/", 1)[-1]
        environ.update({
            "PATH_INFO": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(text)),
            "HTTP_X_AMZ_TARGET": f"{TARGET}.{operation}",
            "wsgi.input": io.BytesIO(text),
        })
        status = []
        chunks = moto(environ, lambda line, headers, *rest: status.append(line))
        answer = b"".join(chunks)
        out = encode(json.loads(answer)) if answer.strip() else encode({})
        start_response(status[0], [
            ("content-type", "application/cbor"),
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-length", str(len(out))),
        ])
        return [out]

    return app


if __name__ == "__main__":
    app = front(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=MotoRequestHandler)
