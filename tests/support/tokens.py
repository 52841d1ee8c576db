"""A token server for a registry on loopback, as large registries have one."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ISSUER = "tests"


@contextmanager
def running_token_server(directory: Path, user: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a registry's configuration to trust the server, and the scopes asked for so far.

    `user` is name:password; everybody else gets 401.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    bundle = directory / "bundle.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    wanted = "Basic " + base64.b64encode(user.encode()).decode()
    scopes: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self.headers.get("Authorization") != wanted:
                self.send_error(401)
                return
            scopes.extend(query.get("scope", []))
            answer = json.dumps({"token": token(query)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def token(query: dict[str, list[str]]) -> str:
        now = datetime.now(UTC)
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":", 2)
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        claims = {
            "iss": ISSUER,
            "sub": user.partition(":")[0],
            "aud": query["service"][0],
            "iat": now,
            "nbf": now - timedelta(seconds=10),
            "exp": now + timedelta(minutes=5),
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        return jwt.encode(claims, key, algorithm="ES256", headers={"x5c": chain})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    realm = f"http://127.0.0.1:{server.server_address[1]}/token"
    try:
        trust = f"service: tests, issuer: {ISSUER}, rootcertbundle: '{bundle}'"
        yield f"auth: {{token: {{realm: '{realm}', {trust}}}}}\n", scopes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = builder.add_extension(constraints, critical=True)
    return builder.sign(key, hashes.SHA256())
