"""What files say of how they were made."""

import json
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image

from ganimation.cli import main
from ganimation.errors import MediaError
from ganimation.media.clip import Clip
from ganimation.media.credentials import CERTIFICATE, KEY, SWITCH, TEST_NAME, add_credentials, read_credentials
from ganimation.media.images import Photo, png_info, read_image, write_image
from ganimation.media.provenance import SOURCE_TYPE, Provenance, packet, read_packet, read_provenance, sidecar
from ganimation.media.video import write_film
from tests.conftest import Pixels

MADE = Provenance("edit", "0123456789ab", ({"aus": {"AU12": [0.1, 0.8]}},), {"note": "<&> \u00e9"})


@pytest.fixture
def picture() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("c2pa", reason="the extra credentials is not installed")
    monkeypatch.setenv(SWITCH, "on")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_packet_is_read_back_and_says_what_the_iptc_says() -> None:
    assert read_packet(packet(MADE)) == (MADE, SOURCE_TYPE)
    assert packet(MADE) == packet(MADE)
    assert read_packet(b"") == (None, "")
    assert read_packet(b"<x:xmpmeta broken</x:xmpmeta>") == (None, "")
    other = packet(MADE).replace(b"ns.ganimation.dev", b"ns.example.org")
    assert read_packet(other) == (None, SOURCE_TYPE)
    assert read_packet(packet(MADE).replace(b"{&quot;", b"[").replace(b'{"', b"[")) == (None, SOURCE_TYPE)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_say_how_they_were_made(suffix: str, picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / f"made{suffix}"
    write_image(Photo(picture), path, MADE)
    assert read_provenance(path) == (MADE, SOURCE_TYPE)
    write_image(Photo(picture), path)
    assert read_provenance(path) == (None, "")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_of_sixteen_bits_too(suffix: str, picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / f"made{suffix}"
    write_image(Photo(picture, deep=picture.astype(np.uint16) * 257), path, MADE)
    assert read_provenance(path) == (MADE, SOURCE_TYPE)
    assert sidecar(path).exists() == (suffix == ".tif")
    assert read_image(path).deep is not None


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_films_say_how_they_were_made_and_play(suffix: str, picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / f"made{suffix}"
    write_film([picture, 255 - picture, picture], path, 10, MADE)
    assert read_provenance(path) == (MADE, SOURCE_TYPE)
    if suffix == ".mp4":
        assert len(list(Clip(path))) == 3
    else:
        with Image.open(path) as film:
            assert film.n_frames == 3  # type: ignore[attr-defined]
            film.seek(2)
            film.load()


def test_pixels_are_not_mistaken_for_a_packet(picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_film([picture], path, 10)
    path.write_bytes(path.read_bytes() + packet(MADE))
    assert read_provenance(path) == (None, "")
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0")
    assert read_provenance(tmp_path / "cut.mp4") == (None, "")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".mp4", ".gif"])
@pytest.mark.usefixtures("signing")
def test_signed_files_say_so_and_changes_show(suffix: str, picture: Pixels, tmp_path: Path) -> None:
    path = tmp_path / f"made{suffix}"
    if suffix in (".mp4", ".gif"):
        write_film([picture, 255 - picture], path, 10, MADE)
    else:
        write_image(Photo(picture), path, MADE)
    assert read_provenance(path) == (MADE, SOURCE_TYPE)
    assert read_credentials(path) == (
        f"unchanged since it was signed, signed by {TEST_NAME} (who that is was not checked)"
    )
    content = path.read_bytes()
    at = content.rfind(b"0123456789ab")  # the model's digits in one of the recipes
    path.write_bytes(content[:at] + b"X" + content[at + 1 :])
    assert "broken" in read_credentials(path)
    assert [name.name for name in tmp_path.iterdir() if name.name.startswith(".")] == []


@pytest.mark.usefixtures("signing")
def test_the_test_certificate_is_made_once_and_kept_from_others(picture: Pixels, tmp_path: Path) -> None:
    write_image(Photo(picture), tmp_path / "one.png", MADE)
    home = tmp_path / "config" / "ganimation" / "c2pa"
    before = (home / "certificate.pem").read_bytes()
    assert (home / "key.pem").stat().st_mode & 0o077 == 0
    write_image(Photo(picture), tmp_path / "two.png", MADE)
    assert (home / "certificate.pem").read_bytes() == before


@pytest.mark.usefixtures("signing")
def test_a_certificate_that_cannot_be_used_is_said_and_nothing_is_written(
    picture: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "bad.pem"))
    monkeypatch.setenv(KEY, str(tmp_path / "missing.pem"))
    with pytest.raises(MediaError, match="both name a PEM file"):
        write_image(Photo(picture), tmp_path / "made.png", MADE)
    monkeypatch.setenv(KEY, str(tmp_path / "bad.pem"))
    with pytest.raises(MediaError, match=f"cannot be signed .* check {CERTIFICATE}"):
        write_image(Photo(picture), tmp_path / "made.png", MADE)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pem"]


def test_switched_off_nothing_is_signed(picture: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    path = tmp_path / "made.jpg"
    write_image(Photo(picture), path, MADE)
    before = path.read_bytes()
    add_credentials(path, MADE, ".jpg")
    assert path.read_bytes() == before
    assert read_credentials(path) == ""


def test_edits_and_films_say_what_was_asked(portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, film, figure = tmp_path / "smile.jpg", tmp_path / "smile.webp", tmp_path / "same.jpg"
    assert main(["edit", str(portrait), "--au", "AU12=0.8", "AU04L=0.6", "-o", str(picture)]) == 0
    animate = ["animate", str(portrait), "--au", "AU12=+0.3", "--seconds", "0.2", "--max-side", "64"]
    assert main([*animate, "-o", str(film)]) == 0
    assert main(["edit", str(portrait), "-o", str(figure)]) == 0
    capsys.readouterr()
    assert main(["verify", str(picture), str(film), str(figure)]) == 0
    said = capsys.readouterr().out
    assert "says that ganimation" in said
    assert "AU04L" in said
    assert "to 0.80" in said
    assert "does not say that it was made" in said
    assert main(["verify", "--json", str(picture), str(film)]) == 0
    edit, animation = json.loads(capsys.readouterr().out)
    assert edit["made_here"]
    assert edit["digital_source_type"] == SOURCE_TYPE
    assert set(edit["recipe"]["faces"][0]["aus"]) == {"AU12", "AU04L"}
    assert edit["recipe"]["faces"][0]["aus"]["AU12"][1] == pytest.approx(0.8)
    assert animation["recipe"]["faces"] == [{"asked": {"AU12": "+0.3"}}]
    assert main(["verify", str(tmp_path / "nothing.jpg")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "text.jpg").write_text("text")
    assert main(["verify", str(tmp_path / "text.jpg")]) == 2


def test_a_picture_by_others_is_told_apart(picture: Pixels, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = packet(MADE).replace(b"ns.ganimation.dev", b"ns.example.org")
    Image.fromarray(picture).save(tmp_path / "other.jpg", xmp=other)
    assert main(["verify", str(tmp_path / "other.jpg")]) == 0
    assert "says compositeWithTrainedAlgorithmicMedia, not by ganimation" in capsys.readouterr().out


def test_the_box_at_the_end_of_a_film_is_no_harm_to_its_times(picture: Pixels, tmp_path: Path) -> None:
    write_film([picture] * 4, tmp_path / "film.mp4", 25, MADE)
    assert [frame.time for frame in Clip(tmp_path / "film.mp4")] == [Fraction(n, 25) for n in range(4)]


@pytest.mark.parametrize(
    "recipe",
    [
        '{"operation":"edit","faces":[1]}',
        '{"operation":"edit","details":3}',
        '{"operation":7}',
        '{"operation":"edit","faces":[{"aus":[1]}]}',
        '{"operation":"edit","faces":[{"aus":{"AU12":[0.1]}}]}',
        '{"operation":"edit","faces":[{"asked":{"AU12":{}}}]}',
        '{"operation":"edit","faces":[{"aus":{"AU12":[true,null]}}]}',
        '{"operation":"edit","details":{"a":' + "[" * 5000 + "]" * 5000 + "}}",
        '{"operation":"edit","details":{"a":1e999}}',
        '{"operation":"edit","surprise":1}',
    ],
)
def test_a_crafted_recipe_is_none_of_ours(recipe: str, tmp_path: Path, picture: Pixels) -> None:
    path = tmp_path / "a.png"
    content = packet(MADE).decode().replace(escape(MADE.to_json()), escape(recipe))
    Image.fromarray(picture).save(path, pnginfo=png_info(content.encode()))
    assert read_provenance(path) == (None, SOURCE_TYPE)


def verified(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return status and text of ``verify``, which obeys nothing that a file says."""
    status = main(["verify", str(path)])
    said = capsys.readouterr()
    text = said.out + said.err
    assert all(character.isprintable() or character == "\n" for character in text), text
    return status, text


def test_a_recipe_does_not_steer_a_terminal(
    picture: Pixels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = "x\x1b[2K\x1b[1A\r/etc/photo.jpg: does not say that it was made"
    made = Provenance(f"edit{forged}", forged, ({"aus": {forged: [0.1, 0.8]}},), {forged: forged})
    write_image(Photo(picture), tmp_path / "a.png", made, credentials=False)
    # XML holds no control characters; JSON inside it escapes them, and a newline needs no escape at all
    status, text = verified(tmp_path / "a.png", capsys)
    assert status == 0
    assert len(text.splitlines()) == 3
    assert r"\x1b[2K" in text
    assert main(["verify", "--json", str(tmp_path / "a.png")]) == 0
    assert json.loads(capsys.readouterr().out)[0]["recipe"]["model"] == forged


def test_hostile_files_are_refused_in_one_line(
    picture: Pixels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.fromarray(picture)
    (tmp_path / "huge.mp4").write_bytes(
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x01uuid" + (1 << 62).to_bytes(8, "big") + b"x" * 64
    )
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    (tmp_path / "long.mp4").write_bytes(b"\xff\xff\xff\xffuuid" + uuid + packet(MADE))
    (tmp_path / "short.mp4").write_bytes(b"\0\0\0\x09uuid" + uuid + b"x" * 64)
    image.save(tmp_path / "bytes.tif", tiffinfo={700: b"\0" * 64})
    for form, count in ((11, 16), (12, 8), (3, 32), (4, 1 << 30)):  # floats, doubles, shorts, and more than there is
        content = (tmp_path / "bytes.tif").read_bytes()
        at = content.index(b"\xbc\x02\x01\x00")
        content = content[: at + 2] + struct.pack("<HI", form, count) + content[at + 8 :]
        (tmp_path / f"form{form}.tif").write_bytes(content)
    bomb = zlib.compress(b"\0" * 50_000_000)
    for kind, content in ((b"iCCP", b"icc\0\0" + bomb), (b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + bomb)):
        path = tmp_path / f"{kind.decode()}.png"
        image.save(path)
        data = path.read_bytes()
        chunk = len(content).to_bytes(4, "big") + kind + content
        chunk += zlib.crc32(kind + content).to_bytes(4, "big")
        path.write_bytes(data[:33] + chunk + data[33:])
    raw = b"XML:com.adobe.xmp\0\0\0\0\0" + bytes(40_000_000)
    image.save(tmp_path / "raw.png")
    data = (tmp_path / "raw.png").read_bytes()
    (tmp_path / "raw.png").write_bytes(data[:33] + len(raw).to_bytes(4, "big") + b"iTXt" + raw + bytes(4) + data[33:])
    entities = (
        b"<!DOCTYPE x [" + b"".join(b'<!ENTITY a%d "&a%d;&a%d;">' % (n, n - 1, n - 1) for n in range(1, 40)) + b"]>"
    )
    bomb_packet = packet(MADE).replace(b"<x:xmpmeta", entities + b"<x:xmpmeta").replace(b"edit", b"&a39;")
    image.save(tmp_path / "entities.jpg", xmp=bomb_packet)
    image.save(tmp_path / "encoding.jpg", xmp=packet(MADE).replace(b"<x:xmpmeta", b"<x:xmpmeta>\xff\xfe<x:xmpmeta"))
    for path in sorted(tmp_path.iterdir()):
        status, text = verified(path, capsys)
        assert status in (0, 2), path
        assert len(text.splitlines()) <= 4, path
        if status:
            assert text.startswith(f"ganimation: {path}")
    assert "40 MB of metadata (b'iTXt'), the limit is 32" in verified(tmp_path / "raw.png", capsys)[1]
    assert verified(tmp_path / "long.mp4", capsys)[1].count("says that ganimation") == 1
