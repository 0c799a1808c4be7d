"""The markup of the email templates, rendered as plain text and as HTML, so that both always say the same. Pure.

`Subject: …` comes first, then blocks between empty lines: `# heading`, `- item` lines, paragraphs; `[label](target)` is
a link. Everything is escaped for HTML.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.notify.messages.plain import NAME
from shared.errors import PermanentError

_LINK = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]+)\)")
_SUBJECT = "Subject: "
_BUTTON = ' style="display:inline-block;padding:12px 20px;background:#0b3d91;color:#ffffff;font-weight:bold"'


@dataclass(frozen=True, slots=True)
class EmailText:
    """One language of an email, as the template gave it."""

    language: str
    subject: str
    blocks: tuple[tuple[str, ...], ...]


def parse_email(language: str, rendered: str) -> EmailText:
    """Read a rendered template. Raises PermanentError when it has no subject or no text below it."""
    first, _, rest = rendered.strip().partition("\n")
    blocks = tuple(
        lines
        for block in re.split(r"\n\s*\n", rest.strip())
        if (lines := tuple(line.strip() for line in block.splitlines() if line.strip()))
    )
    if not first.startswith(_SUBJECT) or not blocks:
        raise PermanentError("a mail template begins with `Subject: …` and has text below it")
    return EmailText(language, first.removeprefix(_SUBJECT).strip(), blocks)


def as_text(texts: Sequence[EmailText]) -> str:
    """All languages as plain text, separated by a line of stars."""
    return "\n\n* * *\n\n".join(_text(text) for text in texts) + "\n"


def as_html(texts: Sequence[EmailText]) -> str:
    """All languages as one HTML page that loads nothing from elsewhere."""
    subject = html.escape(texts[0].subject)
    sections = "\n<hr>\n".join(
        f'<div lang="{text.language}">\n' + "\n".join(map(_block_html, text.blocks)) + "\n</div>" for text in texts
    )
    return (
        f'<!DOCTYPE html>\n<html lang="{texts[0].language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{subject}</title>\n</head>\n'
        '<body style="margin:0 auto;max-width:40em;padding:16px;font-family:sans-serif;font-size:16px;line-height:1.5;'
        f'color:#1a1a1a;background:#ffffff">\n{sections}\n</body>\n</html>\n'
    )


def _text(text: EmailText) -> str:
    return "\n\n".join(_block_text(block) for block in text.blocks)


def _block_text(lines: Sequence[str]) -> str:
    if lines[0].startswith("# "):
        return lines[0].removeprefix("# ").upper()
    joined = lines if lines[0].startswith("- ") else [" ".join(lines)]
    return "\n".join(_LINK.sub(_link_text, line) for line in joined)


def _link_text(match: re.Match[str]) -> str:
    label, target = match.groups()
    return label if target.startswith(("tel:", "mailto:")) else f"{label}: {target}"


def _block_html(lines: Sequence[str]) -> str:
    if lines[0].startswith("# "):
        return f"<h2>{_inline_html(lines[0].removeprefix('# '))}</h2>"
    if lines[0].startswith("- "):
        items = "\n".join(f"<li>{_inline_html(line.removeprefix('- '))}</li>" for line in lines)
        return f"<ul>\n{items}\n</ul>"
    joined = " ".join(lines)
    alone = _LINK.fullmatch(joined)
    return f"<p>{_link_html(alone, _BUTTON) if alone else _inline_html(joined)}</p>"


def _inline_html(line: str) -> str:
    pieces, end = [], 0
    for match in _LINK.finditer(line):
        pieces += [_escaped(line[end : match.start()]), _link_html(match, "")]
        end = match.end()
    return "".join([*pieces, _escaped(line[end:])])


def _link_html(match: re.Match[str], style: str) -> str:
    label, target = match.groups()
    return f'<a href="{html.escape(target)}"{style}>{_escaped(label)}</a>'


def _escaped(text: str) -> str:
    # A name may be written from right to left: <bdi> isolates it from the sentence around it.
    return html.escape(text).replace(NAME, f"<bdi>{NAME}</bdi>")
