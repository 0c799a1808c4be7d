"""Draws a back-test's report as an SVG: countries by their worst level, for each day."""

from services.safety.backtest.report import Report

_COLOURS = {"red": "#c0392b", "orange": "#e67e22", "yellow": "#f1c40f", "green": "#27ae60", "unknown": "#bdc3c7"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 860, 260, 46, 28


def chart(report: Report) -> str:
    """An SVG: how many countries had which level (the worst of their areas) at the end of each day."""
    days = report.days
    total = max(sum(day.levels.values()) for day in days)
    step, scale = (_WIDTH - _LEFT - 10) / len(days), (_HEIGHT - _TOP - 34) / total
    bottom = _HEIGHT - 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">',
        f"<title>Countries by level, {days[0].date} to {days[-1].date}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for number, day in enumerate(days):
        top = float(bottom)
        for name, colour in _COLOURS.items():
            height = day.levels.get(name, 0) * scale
            top -= height
            if height:
                parts.append(
                    f'<rect x="{_LEFT + number * step:.1f}" y="{top:.1f}" width="{step - 0.6:.1f}" '
                    f'height="{height:.1f}" fill="{colour}"/>'
                )
        if day.date.day in (1, 15) or number == 0:
            parts.append(f'<text x="{_LEFT + number * step:.1f}" y="{bottom + 14}">{day.date:%d-%m}</text>')
    for countries in (0, total // 2, total):
        parts.append(
            f'<text x="{_LEFT - 6}" y="{bottom - countries * scale + 4:.1f}" text-anchor="end">{countries}</text>'
        )
    for number, (name, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + number * 90
        parts.append(
            f'<rect x="{x}" y="8" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="17">{name}</text>'
        )
    busiest = max(days, key=lambda day: day.changes)
    note = f"most changes on {busiest.date:%d-%m-%Y}: {busiest.changes}"
    parts.append(f'<text x="{_WIDTH - 10}" y="17" text-anchor="end">{note}</text>')
    return "\n".join([*parts, "</svg>", ""])
