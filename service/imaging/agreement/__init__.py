"""Agreement of a segmentation with a truth: per case, over cases, and as a picture."""

from service.imaging.agreement.compare import BOTH_EMPTY, Agreement, compare
from service.imaging.agreement.statistics import METRICS, BlandAltman, Distribution, Summary, summarise

__all__ = ["BOTH_EMPTY", "METRICS", "Agreement", "BlandAltman", "Distribution", "Summary", "compare", "summarise"]
