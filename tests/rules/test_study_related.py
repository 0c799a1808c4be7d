"""R1, R11: three questions, one yes is enough."""

from itertools import product

import pytest

from services.registration.rules.study_related import Reason, study_related
from shared.events import StudyAnswers


@pytest.mark.parametrize(("credits", "funding", "transcript"), list(product([False, True], repeat=3)))
def test_study_related_any_yes_is_obligatory(credits: bool, funding: bool, transcript: bool) -> None:
    """R1: credits or funding or transcript; R11: none of them is voluntary."""
    found = study_related(StudyAnswers(credits=credits, university_funding=funding, transcript_entry=transcript))

    assert found.is_study_related == (credits or funding or transcript)


def test_study_related_names_every_reason() -> None:
    """The student sees each question that makes it obligatory."""
    found = study_related(StudyAnswers(credits=True, university_funding=False, transcript_entry=True))

    assert found.reasons == (Reason.CREDITS, Reason.TRANSCRIPT)
