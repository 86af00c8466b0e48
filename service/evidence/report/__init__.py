"""The printed report: one A4 page with everything of the paper's report, readable in grey print."""

from service.evidence.report.layout import report_pdf

__all__ = ["report_pdf"]
