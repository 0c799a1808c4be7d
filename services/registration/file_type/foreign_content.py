"""Recognises archives, programs and markup by their signatures, in front of a document or behind it. Pure.

Bounded: callers hand over at most a few ten thousand bytes, and each pattern reads them once.
"""

import re

#: They count wherever they stand. Sources: APPNOTE 4.3.7 and 4.3.16 (ZIP), the descriptions of RAR 5.0, 7z and xz,
#: [MS-CAB] 2.1, [MS-CFB] 2.2, POSIX pax (ustar), ISO 32000-1 7.5.2, WHATWG HTML 13.2.
_ANYWHERE = re.compile(
    rb"PK\x03\x04|PK\x05\x06|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\xfd7zXZ\0|MSCF\0\0\0\0|ustar[\0 ]|%PDF-"
    rb"|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|(?i:<\?php|<!doctype|<(?:html|head|body|script|iframe|svg|img|meta|style)[\s/>])"
)
#: They count only where a file would begin. Sources: RFC 1952 (gzip), RFC 8878 (zstd), the descriptions of bzip2, PE,
#: ELF, Mach-O, Java classes, DEX, WebAssembly, ar, GIF89a, RTF 1.9, SWF and PostScript.
_AT_START = re.compile(
    rb"\x1f\x8b\x08|BZh[1-9]|\x28\xb5\x2f\xfd|MZ|\x7fELF|[\xce\xcf]\xfa\xed\xfe|\xfe\xed\xfa[\xce\xcf]"
    rb"|\xca\xfe\xba\xbe|dex\n|\0asm|!<arch>|GIF8[79]a|\{\\rtf|[FCZ]WS[\x01-\x40]|%!PS|#!|(?i:@echo)"
)
#: Films, sounds and pictures: ordinary behind a picture, never in front of a PDF. Sources: ISO/IEC 14496-12 4.3, the
#: descriptions of Matroska, RIFF, ID3v2, Ogg, FLAC and TIFF 6.0.
_MEDIA_AT_START = re.compile(rb"(?s:.{4}ftyp)|\x1aE\xdf\xa3|RIFF|ID3|OggS|fLaC|II\*\0|MM\0\*|\x89PNG|\xff\xd8\xff")
#: Blanks, and what old programs fill a file with: NUL and ctrl-Z.
PADDING = b"\0\t\n\x0c\r \x1a"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def holds_foreign_content(part: bytes) -> bool:
    """Whether an archive or a page stands anywhere in this part of a file."""
    return _ANYWHERE.search(part) is not None


def begins_with_foreign_content(part: bytes) -> bool:
    """Whether this part of a file is an archive, a program or a page, or holds one."""
    starts = (part, part.lstrip(PADDING))
    return holds_foreign_content(part) or any(_AT_START.match(start) for start in starts)


def is_another_file(beginning: bytes) -> bool:
    """Whether a file that begins so is something else than the PDF whose header stands behind it."""
    found = beginning.removeprefix(_BYTE_ORDER_MARK)
    return begins_with_foreign_content(found) or _MEDIA_AT_START.match(found) is not None
