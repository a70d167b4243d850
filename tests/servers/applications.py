"""The applications that shipped scenarios ask, behind the host names that they use.

A proxy on loopback that takes CONNECT for any host and answers itself, with a certificate for the
names below from an authority of its own, so that a client with HTTPS_PROXY and SSL_CERT_FILE
reaches by TLS what does not exist:

    https://uploads-drill.dr.example.com/healthz?deep=uploads
        reads an upload from the bucket of --uploads, as the application in the DR region would;
        without that bucket, or without an upload in it, it is not ready
    https://api.drill.k8s.example.com:6443/readyz
    https://k3s.drill.example.com:6443/readyz
        `ok` while the etcd at the address in the file --etcd is healthy, as an API server says it
    https://shop.drill.example.com/healthz
        its orders can be read while that etcd is healthy

What it needs of AWS is in the environment. Prints its address on standard error once it serves.

    applications.py --authority FILE [--uploads BUCKET --endpoint-url URL] [--etcd FILE]
"""

import argparse
import json
import ssl
import sys
import tempfile
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from authority import Authority

UPLOADS = "uploads-drill.dr.example.com"
API_SERVER = "api.drill.k8s.example.com"
K3S_SERVER = "k3s.drill.example.com"
SHOP = "shop.drill.example.com"


class Handler(BaseHTTPRequestHandler):
    host = ""

    def do_CONNECT(self):
        self.host = self.path.rsplit(":", 1)[0]
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.handle_one_request()
        self.close_connection = True

    def do_GET(self):
        answers = {
            (UPLOADS, "/healthz?deep=uploads"): self.uploads,
            (API_SERVER, "/readyz"): self.api_server,
            (K3S_SERVER, "/readyz"): self.api_server,
            (SHOP, "/healthz"): self.shop,
        }
        answer = answers.get((self.host, self.path))
        try:
            status, text = answer() if answer else (404, "not here")
        except Exception as error:
            status, text = 503, f"not ready: {error}"
        self.send_response(status)
        # Otherwise a client takes the end of the connection for the end of the text.
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())
        self.wfile.flush()

    def uploads(self):
        options = self.server.options
        s3 = boto3.client("s3", endpoint_url=options.endpoint_url)
        first = s3.list_objects_v2(Bucket=options.uploads, MaxKeys=1)["Contents"][0]["Key"]
        content = s3.get_object(Bucket=options.uploads, Key=first)["Body"].read()
        return 200, json.dumps(
            {"uploads": "readable" if content else "empty"}, separators=(",", ":")
        )

    def api_server(self):
        address = self.server.options.etcd.read_text().strip()
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            healthy = json.load(answer)["health"] == "true"
        return (200, "ok") if healthy else (500, "etcd failed")

    def shop(self):
        status, _ = self.api_server()
        return status, '{"orders":"readable"}' if status == 200 else '{"orders":"lost"}'


def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(authority.issue(UPLOADS, API_SERVER, K3S_SERVER, SHOP)))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--authority", type=Path, required=True)
    parser.add_argument("--uploads")
    parser.add_argument("--endpoint-url")
    parser.add_argument("--etcd", type=Path)
    authority = Authority()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.options, server.tls = parser.parse_args(), tls(authority)
    server.options.authority.write_text(authority.certificate)
    print(f"serving at http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
