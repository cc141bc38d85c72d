"""JPEG files of the data set as JPEG XL, without loss. The name is `jxl:original`."""

from __future__ import annotations

from seit_cl.core.specs import NoOptions
from seit_cl.data.samples import Samples
from seit_cl.formats._jxl import jxl_codec
from seit_cl.formats._original import OriginalFiles
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"  # how a JPEG XL file begins


class JxlOriginalFormat(OriginalFiles):
    """One original file per record, which comes back bit for bit.

    A JPEG file is stored as a JPEG XL file from which libjxl makes the JPEG again. Files of other
    kinds, and those that would not get shorter, are stored as they are.

    Args:
        options: none.
        context: the learner's resolution S in pixels.

    Raises:
        UserError: the package imagecodecs is not installed.
    """

    source = "ISO/IEC 18181-2, JPEG XL: reconstruction of JPEG bitstreams"
    spec = "jxl:original"

    def __init__(self, options: NoOptions, context: FormatContext) -> None:
        self.codec = jxl_codec(self.spec)
        super().__init__(options, context)

    def encode(self, samples: Samples) -> Records:
        """Store the samples' files.

        Raises:
            UserError: the samples do not come from files.
        """
        return Records.from_bytes([self._shorter(file) for file in samples.files()])

    def _shorter(self, file: bytes) -> bytes:
        """The shorter one of a file and its JPEG XL, if there is one."""
        try:
            transcoded: bytes = self.codec.jpegxl_encode_jpeg(file, numthreads=1)
        except (RuntimeError, ValueError):  # no JPEG, or one that libjxl cannot make again
            return file
        return transcoded if len(transcoded) < len(file) else file

    def _file(self, record: bytes) -> bytes:
        """The image file of a record.

        Raises:
            RuntimeError: a damaged JPEG XL file.
        """
        if not record.startswith(CONTAINER):
            return record
        file: bytes = self.codec.jpegxl_decode_jpeg(record, numthreads=1)
        return file


FORMAT = JxlOriginalFormat
