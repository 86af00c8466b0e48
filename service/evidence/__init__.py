"""Encoders of results: pure functions from a CT and its analysis to the bytes that are stored and sent."""

from service.evidence.context import Evidence, EvidenceContext, Predecessor, SegKind, Style
from service.evidence.encode import encode
from service.evidence.notice import encode_notice, notice_time
from service.evidence.result import SeriesRefusal, result_document
from service.evidence.times import evidence_time

__all__ = [
    "Evidence",
    "EvidenceContext",
    "Predecessor",
    "SegKind",
    "SeriesRefusal",
    "Style",
    "encode",
    "encode_notice",
    "evidence_time",
    "notice_time",
    "result_document",
]
