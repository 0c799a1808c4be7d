"""`passage feed parse` as a process: JSON lines on standard output, messages on standard error, exit codes."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pycountry
import pytest

from services.safety.sources.netherlands import FLOOR
from tests.integration.simulators import FEED_SAMPLES, ROOT

DEADLINE_SECONDS = 60
EGYPT = (
    "<li>De kleurcode van het reisadvies is rood voor de provincie Noord-Sinaï en de grens met Libië.</li>"
    "<li>Kleurcode oranje geldt voor het gouvernement Matruh.</li>"
    "<li>Voor de rest van Egypte geldt kleurcode geel.</li>"
)


def record(isocode: str, location: str, introduction: str) -> dict[str, str]:
    """An advisory as the list shows it."""
    return {
        "isocode": isocode,
        "location": location,
        "introduction": introduction,
        "lastmodified": "2026-06-25T12:04:36.079Z",
    }


def passage(
    *arguments: str, given: str = "", command: str = "parse", more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without the stack in its environment."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL")
    }
    return subprocess.run(
        [sys.executable, "-m", "services.passage", "feed", command, *arguments],
        cwd=ROOT, env={**environment, **(more or {})}, input=given,
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip


def lines(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The JSON lines of a successful run."""
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def pages(tmp_path: Path) -> list[str]:
    """Two pages: Egypt with parts and Kosovo; Iraq without a sentence about the whole."""
    contents = [
        [record("XKX", "Kosovo", "<p>Kleurcode groen geldt voor Kosovo.</p>"), record("EGY", "Egypte", EGYPT)],
        [record("IRQ", "Irak", "<p>Voor het westen geldt kleurcode rood.</p>"), {"isocode": "QQQ"}],
    ]
    files = [tmp_path / f"page-{number}.json" for number, _ in enumerate(contents)]
    for file, content in zip(files, contents, strict=True):
        file.write_text(json.dumps(content), encoding="utf-8")
    return [str(file) for file in files]


def test_feed_parse_writes_one_json_line_per_country(pages: list[str]) -> None:
    """Several pages are one answer; exactly these fields; a code only if it is certain; nothing else on stdout."""
    result = passage("netherlands", *pages, "--json")
    egypt, iraq, kosovo = lines(result)

    assert egypt == {
        "source": "netherlands",
        "sourceId": "EGY",
        "country": "EG",
        "level": 1,
        "regions": [
            {"area": "de provincie Noord-Sinaï en de grens met Libië", "level": 3},
            {"area": "het gouvernement Matruh", "code": "EG-MT", "level": 2},
        ],
        "regionalMax": 3,
        "effectiveAt": "2026-06-25T12:04:36.079000Z",
        "sourceModifiedAt": "2026-06-25T12:04:36.079000Z",
        "unread": [],
    }
    assert (iraq["country"], iraq["level"], iraq["regionalMax"]) == ("IQ", None, 3)
    assert iraq["unread"] == ["IRQ: no sentence about the whole country"]
    assert (kosovo["sourceId"], kosovo["country"], kosovo["level"], kosovo["regions"]) == ("XKX", "XK", 0, [])
    assert "3 countries, 1 of them without a level" in result.stderr
    assert "left out: QQQ: not a country that we know" in result.stderr


def test_feed_parse_says_the_same_to_people(pages: list[str]) -> None:
    """Without --json: a line of words for each country, with its unread sentences below."""
    result = passage("netherlands", *pages)

    assert result.returncode == 0
    assert "EG  yellow  (de provincie Noord-Sinaï en de grens met Libië: red; EG-MT: orange)" in result.stdout
    assert "IQ  unknown  (het westen: red)\n    unread: IRQ: no sentence about the whole country" in result.stdout


def test_feed_parse_reads_standard_input(pages: list[str]) -> None:
    """`curl … | passage feed parse netherlands -`."""
    found = lines(passage("netherlands", "-", "--json", given=Path(pages[0]).read_text(encoding="utf-8")))

    assert [line["country"] for line in found] == ["EG", "XK"]


@pytest.mark.parametrize(
    ("body", "flags", "reason"),
    [
        ("{}", [], "Rejected: page 1 is not a list of advisories.\n"),
        ("<html>Onderhoud</html>", [], "Rejected: page 1 is not JSON.\n"),
        ("[]", [], "Rejected: 0 advisories where at least 1 are expected.\n"),
        (json.dumps([record("EGY", "Egypte", EGYPT)]), ["--floor", str(FLOOR)],
         f"Rejected: 1 advisories where at least {FLOOR} are expected.\n"),
    ],
)  # fmt: skip
def test_feed_parse_rejected_answer_is_exit_1_with_the_reason(body: str, flags: list[str], reason: str) -> None:
    """A rejected answer prints nothing on standard output."""
    result = passage("netherlands", "-", "--json", *flags, given=body)

    assert (result.returncode, result.stdout, result.stderr) == (1, "", reason)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["netherlands"], "Missing argument"),
        (["atlantis", "-"], "atlantis is not a source: netherlands, united_kingdom, united_states, germany, canada."),
        (["netherlands", "/nowhere/list.json"], "/nowhere/list.json: No such file or directory."),
        (["netherlands", "-", "--floor", "0"], "--floor"),
        (["netherlands", "-", "--csv"], "--csv"),
    ],
)
def test_feed_parse_wrong_use_is_exit_2(arguments: list[str], words: str) -> None:
    """A missing file, an unknown source or option: a message on standard error, no traceback."""
    result = passage(*arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


#: One answer of each source, of our own making, and the line that it makes.
OTHERS: dict[str, tuple[object, dict[str, Any]]] = {
    "united_kingdom": (
        {"public_updated_at": "2026-09-15T15:41:54+01:00",
         "details": {"alert_status": ["avoid_all_travel_to_parts"], "country": {"name": "Spain", "slug": "spain"},
                     "parts": [{"body": "<p>FCDO advises against all travel to Catalonia.</p>"}]}},
        {"sourceId": "spain", "country": "ES", "level": 1,
         "regions": [{"area": "Catalonia", "code": "ES-CT", "level": 3}], "regionalMax": 3},
    ),
    "united_states": (
        [{"Title": "Chad - Level 4: Do Not Travel", "Category": ["CD"], "Updated": "2026-04-27T20:00:00-04:00"}],
        {"sourceId": "CD", "country": "TD", "level": 3, "regions": [], "regionalMax": None},
    ),
    "germany": (
        {"response": {"7": {"lastModified": 1783604826, "effective": 1783604826000, "iso3CountryCode": "NER",
                            "countryName": "Niger", "warning": True, "partialWarning": False}}},
        {"sourceId": "7", "country": "NE", "level": 3, "regions": [], "regionalMax": None},
    ),
    "canada": (
        {"data": {"PT-20": {"advisory-state": 1, "date-published": {"asp": "2026-06-23T16:13:34.7179321-04:00"},
                            "eng": {"name": "Azores", "advisory-text": "Exercise a high degree of caution"}}}},
        {"sourceId": "PT-20", "country": "PT", "level": None,
         "regions": [{"area": "Azores", "code": "PT-20", "level": 1}], "regionalMax": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", OTHERS)
def test_feed_parse_reads_every_source(source: str) -> None:
    """The same fields for every source: other tests rely on this."""
    answer, expected = OTHERS[source]
    [found] = lines(passage(source, "-", "--json", given=json.dumps(answer)))

    assert {name: found[name] for name in ("source", *expected)} == {"source": source, **expected}
    assert set(found) == {*expected, "source", "effectiveAt", "sourceModifiedAt", "unread"}
    assert found["effectiveAt"].endswith("Z")


def test_feed_check_reports_like_a_doctor(tmp_path: Path) -> None:
    """One source answers and one does not: the failure, and the age of the other; exit 1."""
    entry = {"advisory-state": 0, "date-published": {"asp": "2026-06-23T16:13:34-04:00"}, "has-regional-advisory": 1}
    codes = [country.alpha_2 for country in pycountry.countries][:230]
    index = {"data": {code: {**entry, "eng": {"name": code}} for code in codes}}
    (tmp_path / "index-alpha-eng.json").write_text(json.dumps(index), encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "ENV": "local",  # the sources are read over http here
            "USER_AGENT_CONTACT": "mailto:safe-passage@university.example",
            "FEED_URL": "http://127.0.0.1:9",
            "INFORMING_SOURCES": "canada",
            "SOURCE_URLS": json.dumps({"canada": f"http://127.0.0.1:{server.server_port}"}),
        }
        machine = passage("--json", command="check", more=environment)
        person = passage("canada", command="check", more=environment)
        server.shutdown()

    ministry, canada = (json.loads(line) for line in machine.stdout.splitlines())
    assert machine.returncode == 1
    assert (ministry["source"], ministry["decides"], ministry["ok"]) == ("netherlands", True, False)
    assert ministry["reason"] == "connection: ConnectError"
    assert (canada["ok"], canada["countries"], canada["newest"]) == (True, len(codes), "2026-06-23T20:13:34+00:00")
    assert canada["unread"][0].endswith("regional advisories, which the index does not list")
    assert person.returncode == 0
    assert person.stdout.startswith(f"✓ canada: {len(codes)} countries in")
    assert "(--json shows all)" in person.stdout


def test_feed_check_without_a_contact_is_wrong_use() -> None:
    """The message names the missing variable."""
    result = passage(command="check", more={"USER_AGENT_CONTACT": ""})

    assert (result.returncode, result.stdout, result.stderr) == (2, "", "USER_AGENT_CONTACT is not set.\n")


def test_feed_parse_reads_our_sample() -> None:
    """Both pages of the sample: one line for each country, and the records without a date or a country on stderr."""
    sample = ROOT / "tests" / "data" / "feeds" / "netherlands" / "list"
    expected = json.loads((sample / "expected.json").read_text(encoding="utf-8"))["countries"]
    result = passage("netherlands", *(str(path) for path in sorted(sample.glob("*-offset-*.json"))), "--json")

    assert {line["country"]: line["level"] for line in lines(result)} == {
        country: reading["level"] for country, reading in expected.items()
    }
    assert "left out: FJI: no date" in result.stderr


@pytest.mark.skipif(not FEED_SAMPLES.exists(), reason=f"the real samples are an extra, and not at {FEED_SAMPLES}")
def test_feed_parse_real_list_is_twelve_lines() -> None:
    """The real sample, as it came."""
    found = lines(passage("netherlands", str(FEED_SAMPLES / "traveladvice-list-12.json"), "--json"))

    assert len(found) == 12
    assert {line["country"]: line["level"] for line in found if line["level"] == 3} == {"BF": 3, "SO": 3}
