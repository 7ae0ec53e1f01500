"""Write and read the provenance of a file: XMP with the IPTC's digital source type and the recipe of the edit.

Where the packet lies:

    JPEG  APP1     PNG  iTXt    WebP  XMP chunk    TIFF  tag 700 (of 16 bits: a file NAME.xmp beside it)
    GIF   application extension "XMP DataXMP"      MP4   a box "uuid" of its own at the end

The metadata is not protected against later changes of the file; screenshots and most sites that pictures are uploaded
to remove it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ganimation.errors import GanimationError, MediaError
from ganimation.text import parse_json
from ganimation.version import __version__

#: IPTC: a composite of a real photo and of what a trained model drew.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
NAMESPACE = "https://ns.ganimation.dev/recipe/1.0/"
TOOL = "ganimation"

#: Bytes of a packet that is read; ours have a few hundred, and a hostile file could hold gigabytes.
MAX_PACKET = 1 << 20

_MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_GIF_HEAD = b"\x21\xff\x0bXMP DataXMP"
_GIF_TAIL = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"  # lets decoders without XMP skip the packet


@dataclass(frozen=True)
class Provenance:
    """How a picture or film was made.

    Attributes:
        operation: ``edit``, ``animate``, ``drive`` or ``figure``.
        model: fingerprint of the model.
        faces: of each face that was changed, by AU: what it showed and what was asked, ``{"AU12": [0.1, 0.8]}``.
        details: what else decides the result: the driver's regions, an easing.
        version: of the tool.
    """

    operation: str
    model: str = ""
    faces: tuple[Mapping[str, Any], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    def to_json(self) -> str:
        """Return the recipe as JSON with sorted names, the same for the same recipe."""
        content = asdict(self) | {"faces": [dict(face) for face in self.faces]}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Provenance":
        """Return what :meth:`to_json` wrote.

        Raises:
            ValueError, TypeError: it is something else.
        """
        content = parse_json(text)
        if not isinstance(content, dict):
            raise TypeError(f"a recipe is an object, not a {type(content).__name__}")
        made = Provenance(**{**content, "faces": tuple(content.get("faces", ()))})
        texts, tables = (made.operation, made.model, made.version), (*made.faces, made.details)
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(table, dict) for table in tables):
            raise TypeError("a recipe's faces and details are objects, the rest is text")
        if not all(_is_face(face) for face in made.faces):
            raise TypeError("a face's AUs are numbers, or what it showed and what was asked")
        return made

    def requests(self) -> list[tuple[int, str, str]]:
        """Return number, AU and request of each face, ``(1, "AU12", "0.10 to 0.80")``.

        Of a film, whose recipe names all AUs of an expression, those that are asked to be 0 are left out, unless all
        are.
        """
        found = []
        for number, face in enumerate(self.faces, start=1):
            asked = face.get("aus", face.get("asked", {}))
            moving = {name: value for name, value in asked.items() if value != 0} or asked
            for name, value in moving.items():
                change = f"{value[0]:.2f} to {value[1]:.2f}" if isinstance(value, list) else str(value)
                found.append((number, name, change))
        return found


def _is_face(face: Mapping[str, Any]) -> bool:
    """Return whether a face of a recipe is of the form that this program writes."""

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    tables = [face[name] for name in ("aus", "asked", "from") if name in face]
    return all(isinstance(table, dict) for table in tables) and all(
        is_number(value)
        or isinstance(value, str)
        or (isinstance(value, list) and len(value) == 2 and all(map(is_number, value)))
        for table in tables
        for value in table.values()
    )


def packet(provenance: Provenance) -> bytes:
    """Return an XMP packet (ISO 16684-1)."""
    tool = f"{TOOL} {provenance.version}".strip()
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'xmlns:{TOOL}="{NAMESPACE}">'
        f"<xmp:CreatorTool>{escape(tool)}</xmp:CreatorTool>"
        f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
        f"<Iptc4xmpExt:AISystemUsed>{TOOL}</Iptc4xmpExt:AISystemUsed>"
        f"<Iptc4xmpExt:AISystemVersionUsed>{escape(provenance.version)}</Iptc4xmpExt:AISystemVersionUsed>"
        f"<{TOOL}:recipe>{escape(provenance.to_json())}</{TOOL}:recipe>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
    return text.encode()


def read_packet(data: bytes) -> tuple[Provenance | None, str]:
    """Return the recipe of an XMP packet, ``None`` if it is of others, and its digital source type."""
    begin, end = data.find(b"<x:xmpmeta"), data.find(b"</x:xmpmeta>")
    text = data[begin : end + len(b"</x:xmpmeta>")]
    if begin < 0 or end < 0 or len(text) > MAX_PACKET or b"<!" in text:  # a packet declares no entities
        return None, ""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):  # LookupError: an unknown encoding
        return None, ""
    source, recipe = "", None
    for node in root.iter():
        values = {node.tag: node.text or "", **node.attrib}
        for name, value in values.items():
            if name.endswith("}DigitalSourceType"):
                source = value.strip()
            elif name == f"{{{NAMESPACE}}}recipe":
                recipe = value
    try:
        return (None if recipe is None else Provenance.from_json(recipe)), source
    except (ValueError, TypeError):
        return None, source


def sidecar(path: Path) -> Path:
    """Return the path of the XMP file beside a file whose format cannot hold a packet."""
    return path.with_name(f"{path.name}.xmp")


def add_to_film(path: Path, provenance: Provenance) -> None:
    """Write the packet into an MP4 or GIF that is complete; WebP gets it when it is written."""
    content = packet(provenance)
    if path.suffix.lower() == ".mp4":
        with path.open("ab") as stream:
            stream.write((8 + 16 + len(content)).to_bytes(4, "big") + b"uuid" + _MP4_XMP + content)
    elif path.suffix.lower() == ".gif":
        data = path.read_bytes()
        if data[-1:] != b"\x3b":
            raise MediaError(f"{path}: a GIF that does not end as one")
        with path.open("r+b") as stream:
            stream.seek(-1, 2)
            stream.write(_GIF_HEAD + content + _GIF_TAIL + b"\x3b")


def read_provenance(path: Path) -> tuple[Provenance | None, str]:
    """Return the recipe that a file carries, ``None`` if none of ours, and its digital source type, or ``""``.

    Raises:
        MediaError: the file cannot be read, or it is neither a picture nor a film.
    """
    if path.exists() and not path.is_file():
        raise MediaError(f"{path}: not a file")
    try:
        if path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            found = _from_mp4(path)
        elif path.suffix.lower() == ".gif":
            found = _from_gif(path)
        elif path.suffix.lower() in (".webm", ".mkv", ".avi"):  # films that are read and never written
            path.stat()
            found = b""
        else:
            found = _from_picture(path)
        if not found and sidecar(path).is_file():
            with sidecar(path).open("rb") as stream:
                found = stream.read(MAX_PACKET)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file") from None
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from error
    return read_packet(found)


def _from_picture(path: Path) -> bytes:
    from PIL import UnidentifiedImageError

    from ganimation.media.formats import open_picture

    try:
        with open_picture(path) as image:
            found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
            if not found and hasattr(image, "tag_v2"):
                found = image.tag_v2.get(700, b"")
    except UnidentifiedImageError:
        raise MediaError(f"{path}: neither a picture nor a film that can be read") from None
    except (OSError, GanimationError):
        raise
    except Exception as error:  # a damaged or hostile file makes the decoders raise nearly anything
        raise MediaError(f"{path}: damaged or unreadable ({error})") from error
    if isinstance(found, str):
        return found.encode("utf-8", "replace")
    return found if isinstance(found, bytes) else b""


def _from_gif(path: Path) -> bytes:
    """Return the packet of a GIF, which this program writes at its end."""
    with path.open("rb") as stream:
        start = stream.seek(0, 2)
        stream.seek(max(0, start - MAX_PACKET))
        data = stream.read(MAX_PACKET)
    start = data.rfind(_GIF_HEAD)
    return data[start + len(_GIF_HEAD) :] if start >= 0 else b""


def _from_mp4(path: Path) -> bytes:
    """Return the XMP packet of an MP4; boxes are parsed in order, so that pixel data is not mistaken for one."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        place = 0
        while place + 8 <= size:
            stream.seek(place)
            head = stream.read(32)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:
                break
            if kind == b"uuid" and head[8:24] == _MP4_XMP:
                stream.seek(place + 24)
                return stream.read(min(length - 24, MAX_PACKET)) if length > 24 else b""
            place += length
    return b""
