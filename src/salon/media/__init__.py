"""Raw media to clean arrays, safely: text, pictures, sound and video, decoded within stated limits.

The functions live in `salon.media.text`, `.image`, `.audio` and `.video`, each imported where it is used, so that a
catalogue of texts does not load FFmpeg. Whatever is wrong with a file is a `MediaError` that says what and what to do.
"""

from salon.media.limits import DEFAULT_LIMITS, MediaLimits
from salon.media.paths import safe_join
from salon.media.report import MediaProblem

__all__ = ["DEFAULT_LIMITS", "MediaLimits", "MediaProblem", "safe_join"]
