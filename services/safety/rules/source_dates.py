"""R12: which version of its advice a reading is, where the source dated it in the future. Pure.

A parser replaces a date that is still to come by the time of the reading. That time is newer than every date that the
source will name when it has mended its clock: its next warning would count as older, and be ignored. So such a reading
counts as the version that is known already, and what it says is decided as usual.
"""

from datetime import datetime

from services.safety.reading import CountryReading
from shared.plausible import EARLIEST


def in_order(reading: CountryReading, known: datetime | None, began: datetime) -> CountryReading:
    """The reading, as the known version if its date lies after the read began. `known` None: no version is known."""
    if reading.source_modified_at <= began:
        return reading
    return reading.model_copy(update={"source_modified_at": known or EARLIEST})
