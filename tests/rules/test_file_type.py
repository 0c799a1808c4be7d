"""R9: what a file is, by its structure: ordinary phone pictures and scans are taken, archives and polyglots are not."""

import os
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.registration.file_type.inspection import HEAD_BYTES, FileInspection, FileType, MediaType, Reason
from services.registration.file_type.pictures import MAX_SEGMENTS
from tests.abuse.growth import check_growth
from tests.failures import Failures
from tests.rules.document_files import (
    SCRIPT,
    archive,
    chunk,
    exif_with_preview,
    film,
    jpeg,
    linearized,
    pdf,
    png,
    samsung_notes,
    segment,
    update,
)


def inspect(content: bytes, *sizes: int) -> tuple[FileType, bytes]:
    """The type, and the bytes that belong to the document. `sizes`: of the pieces after the first one."""
    inspection, kept, at = FileInspection(), b"", 0
    for size in (HEAD_BYTES, *sizes, len(content)):
        kept += inspection.add(content[at : at + size])
        at += size
    return inspection.finish(), kept


PICTURES = {
    "jpeg": jpeg(),
    "jpeg of a progressive kind": jpeg(scans=5),
    "jpeg with a preview in it": jpeg(before=exif_with_preview()),
    "jpeg with a note and fillers": jpeg(before=segment(0xFE, b"a note") + b"\xff\xff\xff" + segment(0xE2, b"x")),
    "jpeg of several pieces": jpeg(before=segment(0xE2, bytes(60_000)) * 3, data=b"\x12\xff\x00" * 9_000),
    "png": png(),
    "png with words": png(before=chunk(b"tEXt", b"Title\0a letter") * 300),
}
#: What phones, cameras and programs write behind a picture.
TRAILERS = {
    "nothing": b"",
    "a filler": b"\0" * 70_000,
    "ctrl-Z": b"\x1a",
    "line breaks": b"\r\n\r\n",
    "a second picture": jpeg(data=b"\x44" * 70_000),
    "a film": film() * 9,
    "notes of a Samsung phone": samsung_notes(),
    "a film in notes of a Samsung phone": samsung_notes(film()),
    "a table in XML": b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>",
    "a table in JSON": b'{"mode": "portrait", "depth": [1, 2]}',
    "a mark of time": b"1772269496000\n",
    "random bytes": bytes(range(128, 256)) * 700,
}
PDFS = {
    "pdf": pdf(),
    "pdf of Windows": pdf(line=b"\r\n", ending=b"%%EOF\r\n"),
    "pdf of an old Macintosh": pdf(line=b"\r", ending=b"%%EOF"),
    "pdf with an update": update(pdf()),
    "pdf with updates": update(update(update(pdf()))),
    "linearised pdf": linearized(),
    "pdf of several pieces": pdf(padding=(b"\x12\x34" * 60 + b"%%EOF\n") * 700),
}
#: Bytes in front of the header of ordinary PDFs.
PREFIXES = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "blanks": b" \t \n\n",
    "a byte order mark": b"\xef\xbb\xbf",
    "a byte order mark and a line": b"\xef\xbb\xbf\r\n",
    "a byte order mark of UTF-16": b"\xff\xfe",
    "NULs": b"\0" * 512,
    "a printer's language": b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=PDF\r\n",
    "a header of HTTP": b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n",
    "a warning of PHP": b"Warning: Undefined variable in letter.php on line 3\n",
    "all the room there is": b"\n" * 1_024,
}
#: How ordinary PDFs end after the position of their table.
ENDINGS = {
    "a line": b"%%EOF\n",
    "no line": b"%%EOF",
    "ctrl-Z": b"%%EOF\n\x1a",
    "NULs": b"%%EOF" + b"\0" * 5_000,
    "blanks": b"%%EOF  \r\n \x0c",
    "no %%EOF": b"",
    "no %%EOF but a line": b"\r\n",
    "half an %%EOF": b"%%E",
    "no %%EOF and NULs": b"\0" * 512,
    "a few bytes": b"%%EOF\n-----------------------------7e2--\r\n",
    "a second end": b"%%EOF\n%%EOF\n",
}


def test_picture_with_what_phones_append_is_taken_and_cut_at_its_end() -> None:
    """Every structure with every trailer: taken, and exactly the picture belongs to the document."""
    with Failures() as failures:
        for name, picture in PICTURES.items():
            for trailer, behind in TRAILERS.items():
                with failures.case(f"{name}, {trailer}"):
                    media_type = MediaType.PNG if name.startswith("png") else MediaType.JPEG
                    assert inspect(picture + behind, 1_000, 3) == (FileType(media_type), picture)


def test_pdf_with_what_scanners_write_around_it_is_taken_whole() -> None:
    """Every structure with every beginning and end: taken, and not a byte is changed."""
    with Failures() as failures:
        for name, content in PDFS.items():
            for before in PREFIXES.values():
                for ending in ENDINGS.values():
                    whole = before + content.removesuffix(b"\n").removesuffix(b"\r").removesuffix(b"%%EOF") + ending
                    with failures.case(name, repr(before[:30]), repr(ending[:30])):
                        assert inspect(whole, 1_000) == (FileType(MediaType.PDF), whole)


@pytest.mark.parametrize(
    "content",
    [
        pdf().partition(b"startxref")[0],
        pdf().partition(b"xref")[0],
        pdf().partition(b"startxref")[0] + b"\0" * 80_000,
    ],
    ids=["a trailer is the last thing", "objects only", "a trailer and NULs"],
)
def test_pdf_without_its_last_lines_is_a_pdf_by_its_objects(content: bytes) -> None:
    """A reader builds the missing table again."""
    assert inspect(content) == (FileType(MediaType.PDF), content)


SOMETHING_ELSE, NO_TYPE, NOT_COMPLETE = Reason.HOLDS_SOMETHING_ELSE, Reason.TYPE_NOT_ALLOWED, Reason.NOT_COMPLETE
FOREIGN = {
    "zip": archive(),
    "zip with a long comment": archive(comment=b"\xff\xd9" * 30_000),
    "zip behind a filler": b"\0" * 300 + archive(),
    "rar": b"Rar!\x1a\x07\x01\0" + b"\1" * 50,
    "7z": b"7z\xbc\xaf\x27\x1c\0\4" + b"\1" * 50,
    "xz": b"\xfd7zXZ\0" + b"\1" * 50,
    "gzip": b"\x1f\x8b\x08\0" + b"\1" * 50,
    "bzip2": b"BZh91AY&SY" + b"\1" * 50,
    "cab": b"MSCF\0\0\0\0" + b"\1" * 50,
    "tar": b"inside".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 200,
    "old office file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
    "program of Windows": b"MZ\x90\0" + b"\0" * 200,
    "program of Linux": b"\x7fELF\2\1\1" + b"\0" * 200,
    "class of Java": b"\xca\xfe\xba\xbe\0\0\0\x34" + b"\0" * 50,
    "page": SCRIPT,
    "page in capitals": b"\r\n<!DOCTYPE HTML><HTML><BODY>",
    "page behind words": b"as ordered: <script src='x.js'></script>",
    "drawing": b'<?xml version="1.0"?><svg onload="alert(1)"/>',
    "script of PHP": b"<?php system($_GET['c']);",
    "script of a shell": b"#!/bin/sh\nrm -rf ~\n",
    "gif": b"GIF89a" + b"\1" * 50,
}


def test_archives_programs_and_pages_behind_a_document_are_refused() -> None:
    """Behind a picture, behind its trailer, behind a PDF, and before a last end: holds something else."""
    with Failures() as failures:
        for name, behind in FOREIGN.items():
            polyglots = {
                "jpeg": jpeg() + behind,
                "jpeg, which ends again": jpeg() + behind + b"\xff\xd9",
                "png": png() + behind,
                "pdf": pdf() + behind,
                "pdf, which ends again": pdf() + behind + b"%%EOF\n",
                "pdf, behind its header": b"%PDF-1.7\n" + behind + pdf(),
            }
            for what, content in polyglots.items():
                with failures.case(f"{name} behind {what}"):
                    assert inspect(content)[0].reason in (SOMETHING_ELSE, NOT_COMPLETE)
        for name in ("zip", "rar", "7z", "page"):
            with failures.case(f"{name} behind a film"):
                assert inspect(jpeg() + film() + FOREIGN[name])[0] == FileType(reason=SOMETHING_ELSE)


def test_foreign_files_in_front_of_a_document_are_refused() -> None:
    """A page, a program, an archive, a film or a picture that is also a PDF; and a picture behind anything."""
    fronts = FOREIGN | {
        "film": film()[:300],
        "sound": b"RIFF\0\0\0\0WAVE",
        "tiff": b"II*\0" + b"\0" * 100,
        "script of Windows": b"@echo off\r\n",
        "PostScript": b"%!PS-Adobe-3.0\n",
    }
    with Failures() as failures:
        for name, front in fronts.items():
            with failures.case(name):
                if len(front) < 1_000:
                    assert inspect(front + pdf())[0] == FileType(reason=NO_TYPE)
                assert inspect(front + jpeg())[0].media_type is None
                assert inspect(front + png())[0].media_type is None
        for name, content in {
            "jpeg with a pdf in a note": jpeg(before=segment(0xFE, pdf())),
            "png with a pdf in its words": png(before=chunk(b"tEXt", b"a\0" + pdf())),
            "jpeg and pdf": jpeg() + pdf(),
            "png and pdf": png() + pdf(),
            "jpeg with an archive in a note": jpeg(before=segment(0xFE, archive())),
            "png with an archive in a chunk": png(before=chunk(b"zzZz", archive())),
        }.items():
            with failures.case(name):
                assert inspect(content)[0] == FileType(reason=SOMETHING_ELSE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"Dear board of examiners", NO_TYPE),
        (b"\n" * 1_025 + pdf(), NO_TYPE),
        (b"%PDF", NO_TYPE),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, Reason.PICTURE_IS_HEIC),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + b"\0" * 100, Reason.PICTURE_IS_HEIC),
        (film(), NO_TYPE),
        (b"%PDF-1.7\n", NOT_COMPLETE),
        (pdf()[:150], NOT_COMPLETE),
        (pdf(padding=b"\x12" * 90_000)[:70_000], NOT_COMPLETE),
        (update(pdf())[:-70] + b"x" * 1_100, NOT_COMPLETE),
        (jpeg()[:-1], NOT_COMPLETE),
        (jpeg()[:60], NOT_COMPLETE),
        (b"\xff\xd8\xff", NOT_COMPLETE),
        (png()[:-4], NOT_COMPLETE),
        (png()[:40], NOT_COMPLETE),
    ],
)
def test_what_is_no_whole_document_is_refused_with_its_reason(content: bytes, reason: Reason) -> None:
    """A HEIC picture is named, and a file that was torn off is not taken for a polyglot."""
    assert inspect(content)[0] == FileType(reason=reason)


@pytest.mark.parametrize("kind", [MediaType.JPEG, MediaType.PNG])
def test_picture_with_a_broken_segment_is_taken_when_the_file_ends_as_one(kind: MediaType) -> None:
    """Some programs write wrong lengths, and viewers show their pictures; behind the end only a filler may hang."""
    begin, end = {
        MediaType.JPEG: (b"\xff\xd8\xff\xdb" + b"\1" * 40, b"\xff\xd9"),
        MediaType.PNG: (b"\x89PNG\r\n\x1a\n\0\x10JFIF\0", b"IEND\xaeB`\x82"),
    }[kind]

    assert inspect(begin + end + b"\0\r\n") == (FileType(kind), begin + end + b"\0\r\n")
    assert inspect(begin + end + b"more")[0] == FileType(reason=NOT_COMPLETE)
    assert inspect(begin + end + archive() + end)[0] == FileType(reason=SOMETHING_ELSE)


#: Bytes that make no signature: none of them is a letter.
NO_SIGNATURE = st.binary(max_size=900).map(lambda found: b"\x90" + bytes(byte | 0x80 for byte in found))
SIZES = st.lists(st.integers(min_value=1, max_value=5_000), max_size=8)


@settings(deadline=None)
@given(st.sampled_from(list(PICTURES)), NO_SIGNATURE, SIZES)
def test_picture_is_cut_at_its_end_whatever_hangs_behind_it(name: str, behind: bytes, sizes: list[int]) -> None:
    """However the pieces fall."""
    picture = PICTURES[name]

    found, kept = inspect(picture + behind, *sizes)

    assert found.media_type is not None
    assert kept == picture


@settings(deadline=None)
@given(st.sampled_from(list(PDFS)), NO_SIGNATURE, NO_SIGNATURE, SIZES)
def test_pdf_keeps_its_bytes_whatever_stands_around_it(
    name: str, before: bytes, behind: bytes, sizes: list[int]
) -> None:
    """A few bytes in front and behind belong to the document."""
    whole = before + PDFS[name] + behind

    assert inspect(whole, *sizes) == (FileType(MediaType.PDF), whole)


@settings(deadline=None)
@given(
    st.sampled_from([b"", b"%PDF-1.7\n", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", jpeg()[:-2], png()[:-12], pdf()]),
    st.binary(max_size=400),
    SIZES,
)
def test_content_of_anything_is_a_document_or_a_reason(begin: bytes, more: bytes, sizes: list[int]) -> None:
    """Never both, never neither, never an exception; the kept bytes are the beginning of the file."""
    found, kept = inspect(begin + more, *sizes)

    assert (found.media_type is None) == (found.reason is not None)
    assert (begin + more).startswith(kept)


@pytest.mark.parametrize(
    "repeated",
    [
        b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\xe0\0\2", b"\xff\xd9", b"\xff\xda\0\2", b"\0", b"\0\0\0\0IDAT\0\0\0\0",
        b"%%EOF", b"1 ", b"1 0 obj", b"trailer<<", b"<", b"PK", b"startxref 1 ",
    ],
)  # fmt: skip
def test_file_that_repeats_costs_time_in_proportion(repeated: bytes) -> None:
    """Twice the bytes, twice the time, whatever they are."""
    for begin in (b"\xff\xd8\xff\xe0\0\2", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n"):
        check_growth(partial(repeating, begin, repeated), inspect, 400_000, repeated.hex())


def repeating(begin: bytes, repeated: bytes, length: int) -> bytes:
    """About so many bytes."""
    return begin + repeated * (length // len(repeated))


def test_picture_of_tiny_segments_is_given_up() -> None:
    """So many segments has no picture; it then has to end as one."""
    tiny = b"\xff\xe0\0\2" * (MAX_SEGMENTS + 1)
    picture = jpeg(before=tiny)

    assert inspect(picture) == (FileType(MediaType.JPEG), picture)
    assert inspect(picture + b"more" + os.urandom(2))[0].media_type is None
