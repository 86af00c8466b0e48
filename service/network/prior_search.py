"""Asks an archive for earlier results of a patient, by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4), within one time limit.

All answers together may be no longer than `MOST_BYTES`, and none is waited for beyond the limit, however slowly it
drips: an analysis waits for this.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import quote

import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset
from urllib3.exceptions import HTTPError

from service.domain.unparsable import UNPARSABLE
from service.errors import ThoracleError
from service.network.deadline import ended_after
from service.network.web import NO_ANSWER, WebNode, session, why_not

MOST_BYTES = 2**29
MOST_STUDIES = 20
"""Of one patient, the latest: more are not looked at."""

_CONNECT_S = 10.0
_PIECE = 2**16
_WILDCARDS = frozenset("*?\\")
_STUDY_UID, _STUDY_DATE, _SERIES_UID, _SERIES_NUMBER = "0020000D", "00080020", "0020000E", "00200011"


class NotAnswered(ThoracleError):
    """The archive did not answer, or not in time; the text says why, and holds no patient data."""


class PriorSearch:
    """Questions to one archive about one patient. Every method: NotAnswered."""

    def __init__(self, node: WebNode, within_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """within_s: for all questions together, from now on."""
        self._node = node
        self._clock = monotonic_s
        self._until = monotonic_s() + within_s
        self._left_bytes = MOST_BYTES

    def studies(self, patient_id: str, first: date, last: date) -> list[str]:
        """Study Instance UIDs of a patient ID in a range of Study Dates, the latest first; none for an ID that an
        archive would take for a pattern."""
        if _WILDCARDS & set(patient_id):
            return []
        filters = {"PatientID": patient_id, "StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}"}
        matches = self._ask(lambda client: client.search_for_studies(search_filters=filters, fields=["StudyDate"]))
        dated = sorted(self._parsed(partial(_values, matches, _STUDY_DATE, _STUDY_UID)))[::-1]
        return [uid for _, uid in dated if uid][:MOST_STUDIES]

    def series(self, study_uid: str, modality: str) -> Mapping[int, str]:
        """Series Instance UIDs of a study's series of a modality, by Series Number."""
        asked = {"search_filters": {"Modality": modality}, "fields": ["SeriesNumber"]}
        matches = self._ask(partial(_search_series, study_uid, asked))
        found: dict[int, str] = {}
        for number, uid in self._parsed(partial(_values, matches, _SERIES_NUMBER, _SERIES_UID)):
            with suppress(ValueError):
                found[int(number)] = uid
        return found

    def only_instance(self, study_uid: str, series_uid: str) -> Dataset:
        """The instance of a series that has one."""
        found = self._ask(lambda client: client.retrieve_series(quote(study_uid, safe=""), quote(series_uid, safe="")))
        if len(found) != 1:
            raise NotAnswered(f"{self._node.name} has {len(found)} instances in a series of one")
        only: Dataset = found[0]
        return only

    def header(self, study_uid: str, series_uid: str, instance_uid: str) -> Dataset:
        """The attributes of an instance, without its pixels."""
        study, series, instance = (quote(uid, safe="") for uid in (study_uid, series_uid, instance_uid))
        found = self._ask(lambda client: client.retrieve_instance_metadata(study, series, instance))
        header: Dataset = self._parsed(lambda: Dataset.from_json(found, bulk_data_uri_handler=lambda _uri: b""))
        return header

    def _ask(self, question: Callable[[DICOMwebClient], Any]) -> Any:
        left_s = self._left_s()
        try:
            with session(self._node) as http, ended_after(http, left_s) as over:
                http.hooks["response"].append(self._bounded)
                timeout = (min(_CONNECT_S, left_s), left_s)
                client = DICOMwebClient(self._node.root, http, permissive_uid=True, timeout=timeout)
                client.set_http_retry_params(retry=False)
                found = self._parsed(lambda: question(client))
                if over.is_set():
                    raise self._late()
                return found
        except requests.Timeout as error:
            raise self._late() from error
        except (*NO_ANSWER, HTTPError) as error:
            self._left_s()
            raise NotAnswered(f"{self._node.name}: {why_not(self._node, error)}") from error

    def _parsed(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except UNPARSABLE as error:
            raise NotAnswered(f"{self._node.name} gave an answer that is no DICOM ({type(error).__name__})") from error

    def _left_s(self) -> float:
        left_s = self._until - self._clock()
        if left_s <= 0:
            raise self._late()
        return left_s

    def _late(self) -> NotAnswered:
        return NotAnswered(f"{self._node.name} did not answer in time")

    def _bounded(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Take the answer's body, as it comes, as long as it is short and quick enough."""
        pieces = []
        while piece := response.raw.read1(_PIECE, decode_content=True):
            self._left_s()
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise NotAnswered(f"{self._node.name} answers with more than {MOST_BYTES:,} bytes")
            pieces.append(piece)
        response._content = b"".join(pieces)


def _search_series(study_uid: str, asked: Mapping[str, Any], client: DICOMwebClient) -> Any:
    return client.search_for_series(quote(study_uid, safe=""), **asked)


def _values(matches: Sequence[Mapping[str, Any]], *tags: str) -> list[tuple[str, ...]]:
    """The first value of each attribute of each match (DICOM JSON); "" without one."""
    return [tuple(str((match.get(tag, {}).get("Value") or [""])[0]) for tag in tags) for match in matches]
