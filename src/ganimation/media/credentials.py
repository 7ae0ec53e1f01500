"""C2PA content credentials, where the library c2pa-python is installed: signed, so that tampering shows.

A certificate of one's own is named by two environment variables, ``GANIMATION_C2PA_CERTIFICATE`` (a chain in PEM, its
own certificate first) and ``GANIMATION_C2PA_KEY`` (PEM, ES256). Without them a test certificate is made on this machine
when it is first needed; it proves no more than that the file was not changed since, and says so in its name.
"""

import io
import json
import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ganimation.errors import MediaError
from ganimation.files import atomic
from ganimation.media.provenance import SOURCE_TYPE, TOOL, Provenance
from ganimation.text import parse_json
from ganimation.version import __version__

CERTIFICATE, KEY = "GANIMATION_C2PA_CERTIFICATE", "GANIMATION_C2PA_KEY"
SWITCH = "GANIMATION_C2PA"
#: Label of the assertion that holds the recipe.
RECIPE = "dev.ganimation.recipe"

#: Settings of the library: no network requests, and no thumbnail, which would add up to a megabyte.
SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}

#: Common name of a self-made certificate; it states that the certificate is not trusted.
TEST_NAME = "ganimation self-made test certificate, not trusted"

_FORMATS = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".gif": "image/gif", ".mp4": "video/mp4",
}  # fmt: skip


def available() -> bool:
    """Return whether files get credentials: the library is there, and ``GANIMATION_C2PA`` is not ``off``."""
    return find_spec("c2pa") is not None and os.environ.get(SWITCH, "").lower() not in ("off", "0", "no")


def add_credentials(path: Path, provenance: Provenance, kind: str) -> None:
    """Sign a complete file, in place; without the library nothing happens.

    Args:
        path: of the file.
        provenance: how it was made.
        kind: its real ending, ``.jpg``.

    Raises:
        MediaError: the certificate or key cannot be used.
        OSError: the file cannot be written.
    """
    if not available() or kind not in _FORMATS:
        return
    import c2pa

    agent = {"name": TOOL, "version": __version__}
    made = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": agent}
    manifest = {
        "claim_generator_info": [agent],
        "format": _FORMATS[kind],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [made]}},
            {"label": RECIPE, "data": json.loads(provenance.to_json())},
        ],
    }
    chain, key = _identity()
    signed = path.with_name(f"{path.stem}.signed{path.suffix}")
    try:
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
        with (
            c2pa.Signer.from_info(info) as signer,
            _context() as context,
            c2pa.Builder(manifest, context=context) as builder,
            path.open("rb") as source,
            _Recorded(signed, "w+b") as result,
        ):
            try:
                builder.sign(signer, _FORMATS[kind], source, result)
            except c2pa.C2paError:
                if result.refusal is not None:
                    raise result.refusal from None
                raise
        signed.replace(path)
    except c2pa.C2paError as error:
        raise MediaError(f"content credentials cannot be signed ({error}); check {CERTIFICATE} and {KEY}") from error
    finally:
        signed.unlink(missing_ok=True)


def _context() -> Any:
    import c2pa

    return c2pa.Context(c2pa.Settings.from_dict(SETTINGS))


class _Recorded(io.FileIO):
    """A file that records the error of a failed write, which the signing library does not pass on."""

    refusal: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of the data."""
        try:
            left = memoryview(data)
            while left:
                left = left[super().write(left) or 0 :]
        except OSError as error:
            self.refusal = error
            raise
        return len(data)


def read_credentials(path: Path) -> str:
    """Return what a file's credentials say in a line, ``""`` where there are none or the library is missing."""
    kind = _FORMATS.get(path.suffix.lower())
    if find_spec("c2pa") is None or kind is None:
        return ""
    import c2pa

    try:
        # a file may name a remote manifest; it is not fetched
        with (
            _context() as context,
            path.open("rb") as stream,
            c2pa.Reader(kind, stream, context=context) as reader,
        ):
            content: dict[str, Any] = parse_json(reader.json())
    except (c2pa.C2paError, ValueError):
        return ""
    active = content.get("manifests", {}).get(content.get("active_manifest", ""), {})
    signature = active.get("signature_info", {})
    signer = signature.get("common_name") or signature.get("issuer", "unknown")
    codes = [status.get("code", "") for status in content.get("validation_status", [])]
    broken = [code for code in codes if code != "signingCredential.untrusted"]
    state = f"broken ({', '.join(broken)})" if broken else "unchanged since it was signed"
    unknown = " (who that is was not checked)" if "signingCredential.untrusted" in codes else ""
    return f"{state}, signed by {signer}{unknown}"


_making = threading.Lock()


def _identity() -> tuple[bytes, bytes]:
    """Return the chain and key to sign with, PEM."""
    with _making:  # concurrent creation could store the certificate of one and the key of the other
        return _named() or _own()


def _named() -> tuple[bytes, bytes] | None:
    """Return the chain and key that the user names."""
    named = [os.environ.get(name, "") for name in (CERTIFICATE, KEY)]
    if any(named):
        try:
            chain, key = (Path(name).read_bytes() for name in named)
        except OSError as error:
            raise MediaError(f"{CERTIFICATE} and {KEY}: both name a PEM file ({error})") from error
        return chain, key
    return None


def _own() -> tuple[bytes, bytes]:
    """Return the chain and key of this machine, made at first."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / TOOL / "c2pa"
    paths = home / "certificate.pem", home / "key.pem"
    if not all(path.is_file() for path in paths):
        chain, key = _self_made()
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            return chain, key
        for path, content in zip(paths, (chain, key), strict=True):
            with atomic(path) as temporary:
                temporary.write_bytes(content)
        paths[1].chmod(0o600)
    return paths[0].read_bytes(), paths[1].read_bytes()


def _self_made() -> tuple[bytes, bytes]:
    """Return a test certificate under a root of its own, as the standard wants it, and its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    root_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

    def name(text: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COMMON_NAME, text),
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, TEST_NAME),
            ]
        )

    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, *, root: bool
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not root, content_commitment=False, key_encipherment=False,
                    data_encipherment=False, key_agreement=False, key_cert_sign=root, crl_sign=root,
                    encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
        )  # fmt: skip

    root = certificate("ganimation test root", root_key, "ganimation test root", root=True)
    own = certificate(TEST_NAME, own_key, "ganimation test root", root=False).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
    )
    pem = serialization.Encoding.PEM
    chain = b"".join(built.sign(root_key, hashes.SHA256()).public_bytes(pem) for built in (own, root))
    key = own_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return chain, key
