"""R27: which open alerts of officers told people whom a new one would tell again."""

import pytest

from services.notify.rules.raised_twice import ManualAlert, raised_already

TEXTS = ("Blijf binnen.", "Stay inside.")


def alert(
    alert_id: str, region: str | None, *, drill: bool = False, country: str = "ES", text: str = ""
) -> ManualAlert:
    """An alert with one text, or another."""
    return ManualAlert(alert_id, country, region, drill, (text, text) if text else TEXTS)


TABLE = [
    # (region of the new one, the open one, how it stands to the new one)
    (None, alert("m1", None), "identical_alert"),
    ("ES-MD", alert("m1", "ES-MD"), "identical_alert"),
    (None, alert("m1", None, text="Other."), "alert_for_this_place"),
    (None, alert("m1", "ES-MD"), "alert_for_this_place"),
    ("ES-MD", alert("m1", None), "alert_for_this_place"),
    ("ES-SE", alert("m1", "ES-AN"), "alert_for_this_place"),
    ("ES-AN", alert("m1", "ES-SE"), "alert_for_this_place"),
    ("ES-MD", alert("m1", "ES-CT"), None),
    (None, alert("m1", None, drill=True), None),
    (None, alert("m1", None, country="PT"), None),
]


@pytest.mark.parametrize(("region", "open_alert", "reason"), TABLE)
def test_raised_already_table(region: str | None, open_alert: ManualAlert, reason: str | None) -> None:
    """R27: the same place, or one within the other, of the same kind; identical where the words are the same too."""
    found = raised_already(alert("new", region), [open_alert])

    assert [entry.reason for entry in found] == ([reason] if reason else [])


def test_raised_already_names_identical_ones_first() -> None:
    """The alert that says the same stands first; the others keep their order."""
    open_alerts = [alert("m3", None, text="Other."), alert("m2", None), alert("m1", "ES-MD")]

    assert [entry.alert_id for entry in raised_already(alert("new", None), open_alerts)] == ["m2", "m3", "m1"]
