"""Whatever bytes come, the parsers, the gate, reading and the encoders answer by a name of ours.

`make fuzz` tries many more examples (`--hypothesis-profile=fuzz`).
"""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from helpers.hostile_files import fed, slices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import build_context

from service.domain.arrival import Unidentified, identify
from service.errors import Reason
from service.network.association_request import AssociationRequest, length
from tests.fuzz import spoil_bytes
from tests.fuzz.spoil_ct import spoilt

FUZZING = settings.get_current_profile_name() == "fuzz"
QUICK = settings(max_examples=2000 if FUZZING else 60, deadline=None)
SLOW = settings(max_examples=100 if FUZZING else 6, deadline=None, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 2**64 - 1)
"""Seeds of the ways in which `make fuzz` spoils bytes and files."""


def request() -> bytes:
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "CT1", "THORACLE"
    context = build_context("1.2.840.10008.5.1.4.1.1.2")
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    asked.user_information = [MaximumLengthNotification()]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


REQUEST = request()


@QUICK
@given(seeds)
def test_an_association_request_is_read_or_a_value_error(seed: int) -> None:
    chance = Random(seed)
    heard = chance.choice(spoil_bytes.ANYWHERE)(REQUEST, chance)
    try:
        found = AssociationRequest.of(heard) if len(heard) >= 6 and length(heard) == len(heard) else None
    except ValueError as error:
        assert str(error), "it says what is wrong"
    else:
        assert found is None or len(found.calling_ae) <= 16


@QUICK
@given(st.binary(max_size=3000), st.integers(0, 1500), seeds)
def test_an_instance_is_identified_or_unidentified(noise: bytes, at: int, seed: int) -> None:
    chance, file = Random(seed), slices()[0]
    sent = file[: 132 + at] + noise + file[132 + at :]
    for content in (noise, sent, chance.choice(spoil_bytes.ANYWHERE)(file, chance)):
        try:
            identity = identify(content)
        except Unidentified as error:
            assert str(error), "it says what is missing"
        else:
            assert 0 < len(identity.sop_instance_uid) <= 64


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@SLOW
@given(seeds)
def test_a_spoilt_series_gives_clean_evidence_or_a_reason(seed: int) -> None:
    case = spoilt(Random(seed))
    with TemporaryDirectory() as folder:
        outcome = fed(case.files, Path(folder))
    assert Reason.FAILED not in outcome["reasons"], (case.words, outcome)
    assert not outcome["unclean"], (case.words, outcome)
    assert outcome["reasons"] or outcome["evidence"] or outcome["left_out"], case.words
