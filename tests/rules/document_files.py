"""Builds files as phones, cameras, scanners and web servers write them: pictures, PDFs, and their trailers."""

import io
import struct
import zipfile
import zlib

SCRIPT = b"<html><script>alert(1)</script></html>"


def archive(content: bytes = b"payload", comment: bytes = b"") -> bytes:
    """A ZIP with one file in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as inside:
        inside.writestr("inside", content)
        inside.comment = comment
    return file.getvalue()


# ---------------------------------------------------------------- JPEG


def segment(code: int, content: bytes) -> bytes:
    """A segment of a JPEG. Source: ITU T.81 B.1.1.4."""
    return bytes((0xFF, code)) + struct.pack(">H", len(content) + 2) + content


_TABLES = segment(0xDB, b"\0" + bytes(range(1, 65))) + segment(0xC0, b"\x08\0\1\0\1\1\1\x11\0")
_HUFFMAN = segment(0xC4, b"\0" + b"\0\1" + b"\0" * 14 + b"\0")
#: Compressed data with a stuffed FF, a restart marker and a filler.
_SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x3f\xff\0\x80\xff\xd0\x12\xff\xff\0\xa5"


def jpeg(*, before: bytes = b"", scans: int = 1, data: bytes = b"") -> bytes:
    """A picture of one or several scans. `before`: further segments, `data`: compressed data."""
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    return b"\xff\xd8" + jfif + before + _TABLES + (_HUFFMAN + _SCAN + data) * scans + b"\xff\xd9"


def exif_with_preview() -> bytes:
    """A segment that holds a whole picture, with an end of its own."""
    return segment(0xE1, b"Exif\0\0" + b"MM\0*\0\0\0\x08" + jpeg())


def film() -> bytes:
    """The beginning of an MP4: the boxes ftyp, mdat and moov. Source: ISO/IEC 14496-12 4.2."""
    boxes = (b"ftyp", b"mp42\0\0\0\0isommp42"), (b"mdat", b"\xff\xd9" + bytes(range(256)) * 40), (b"moov", b"\0" * 80)
    return b"".join(struct.pack(">I", len(content) + 8) + kind + content for kind, content in boxes)


def samsung_notes(inside: bytes = b"") -> bytes:
    """A block of notes as a Samsung phone appends it: entries, then their directory between SEFH and SEFT."""
    entries = [(b"Image_UTC_Data", b"1772269496000"), (b"MotionPhoto_Data", inside)][: 2 if inside else 1]
    blocks = [b"\0\0\1\x0a" + struct.pack("<I", len(name)) + name + content for name, content in entries]
    directory = b"SEFH" + struct.pack("<II", 107, len(blocks))
    for number, block in enumerate(blocks):
        directory += struct.pack("<HHII", 0, 0x0A01, sum(map(len, blocks[number:])), len(block))
    return b"".join(blocks) + directory + struct.pack("<I", len(directory)) + b"SEFT"


# ---------------------------------------------------------------- PNG


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG. Source: W3C PNG 5.3."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*, before: bytes = b"") -> bytes:
    """One white pixel. `before`: further chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- PDF


def pdf(*, ending: bytes = b"%%EOF\n", line: bytes = b"\n", padding: bytes = b"") -> bytes:
    """An empty page with a table of its objects. `padding`: bytes of a stream. Source: ISO 32000-1 7.5."""
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Length %d >>" % len(padding) + line + b"stream" + line + padding + line + b"endstream",
    )
    content, places = b"%PDF-1.7" + line + b"%\xe2\xe3\xcf\xd3" + line, []
    for number, found in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj" % number + line + found + line + b"endobj" + line
    table = (
        b"xref" + line + b"0 5" + line + b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
    )
    end = table + b"trailer" + line + b"<< /Size 5 /Root 1 0 R >>" + line + b"startxref" + line + b"%d" % len(content)
    return content + end + line + ending


def update(of: bytes, ending: bytes = b"%%EOF\n") -> bytes:
    """An incremental update that is appended: one object, with a table as a stream. Source: ISO 32000-1 7.5.6."""
    at = len(of)
    changed = b"3 0 obj\n<< /Type /Page /Parent 2 0 R >>\nendobj\n"
    table = b"5 0 obj\n<< /Type /XRef >>\nstream\n\0\1\nendstream\nendobj\n"
    return of + changed + table + b"startxref\n%d\n" % at + ending


def linearized() -> bytes:
    """As a web server wants it: the table of the first page and a first %%EOF stand in front. Source: annex F."""
    head = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Linearized 1 /L 900 >>\nendobj\nxref\n1 1\n0000000015 00000 n \n"
    return head + b"trailer\n<< /Size 5 >>\nstartxref\n0\n%%EOF\n" + pdf().partition(b"\n")[2]
