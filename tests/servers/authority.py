"""A certificate authority for loopback: what verifies certificates must be given real ones."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALID = datetime.timedelta(days=2)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(subject: str, issuer: str, public_key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
    )


class Authority:
    """Signs certificates; its key never leaves the process."""

    name = "tests of redrill"

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(self.name, self.name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        self.certificate = self._sign(builder)

    def _sign(self, builder: x509.CertificateBuilder) -> str:
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, *hosts: str) -> tuple[str, str]:
        """A certificate for these host names and addresses, and its key: both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(hosts[0], self.name, key.public_key())
        builder = builder.add_extension(
            x509.SubjectAlternativeName([self._alternative(host) for host in hosts]), False
        )
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return self._sign(builder), text.decode()

    @staticmethod
    def _alternative(host: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            return x509.DNSName(host)
