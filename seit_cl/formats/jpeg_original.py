"""Files of the data set, unchanged. The name is `jpeg:original`, but any image file is stored."""

from __future__ import annotations

from seit_cl.formats._original import OriginalFiles


class JpegOriginalFormat(OriginalFiles):
    """One original file per record, as it is."""

    source = "the files of the data set"
    spec = "jpeg:original"


FORMAT = JpegOriginalFormat
