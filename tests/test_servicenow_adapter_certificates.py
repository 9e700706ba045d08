"""Mutual TLS: the connection shows a client certificate to a server that asks for one. A real handshake."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from provisioning.adapters.counting import connection_to
from provisioning.adapters.servicenow import ServiceNowSession, client_context, credentials
from provisioning.errors import ConfigError, Unavailable

NOW = dt.datetime.now(dt.UTC)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A throw-away certificate authority."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed("Throw-away authority", self.key, is_authority=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, subject: str) -> str:
        """A file with a key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.NoEncryption()
        path = self.folder / f"{subject}.pem"
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + self._signed(subject, key).public_bytes(serialization.Encoding.PEM)
        )
        return str(path)

    def _signed(self, subject: str, key, *, is_authority: bool = False) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Throw-away authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


async def asked(authority: Authority, context: ssl.SSLContext | None) -> str:
    """What a server that insists on a certificate learns of the caller."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        subject = writer.get_extra_info("peercert")["subject"]
        seen.append(dict(pair for part in subject for pair in part)["commonName"])
        body = b'{"result": []}'
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    demanding = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.path))
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_cert_chain(authority.issue("server"))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=demanding)
    port = server.sockets[0].getsockname()[1]
    address = f"https://localhost:{port}"
    session = ServiceNowSession(address, credentials("mtls"), transport=connection_to(address, context))
    try:
        await session.get("/api/now/table/sys_user")
    finally:
        await session.aclose()
        server.close()
        await server.wait_closed()
    return seen[0]


def trusting(authority: Authority, context: ssl.SSLContext) -> ssl.SSLContext:
    context.load_verify_locations(str(authority.path))
    return context


def test_the_connection_shows_the_certificate(authority):
    context = trusting(authority, client_context(authority.issue("integration.user")))
    assert asyncio.run(asked(authority, context)) == "integration.user"


def test_without_a_certificate_the_server_does_not_talk_to_us(authority):
    with pytest.raises(Unavailable):
        asyncio.run(asked(authority, trusting(authority, ssl.create_default_context())))


def test_a_server_that_nobody_vouches_for_is_not_shown_anything(authority):
    with pytest.raises(Unavailable, match="not trusted"):
        asyncio.run(asked(authority, client_context(authority.issue("integration.user"))))


def test_a_file_without_a_certificate_is_refused_by_its_name(tmp_path):
    path = tmp_path / "empty.pem"
    path.write_text("nothing", encoding="ascii")
    with pytest.raises(ConfigError, match=r"empty\.pem"):
        client_context(str(path))
