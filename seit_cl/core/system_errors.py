"""Errors of the operating system and of memory in one line, with what to do about them."""

from __future__ import annotations

import errno

LONGEST = 300  # letters of a message
RESUMES = "what is finished is kept, and the same command goes on from there"
# Error numbers -> what is wrong, or "" for the system's own words, and what to do.
_REMEDIES = {
    errno.ENOSPC: ("", f"free some or choose another folder; {RESUMES}"),
    errno.EDQUOT: ("", f"free some or choose another folder; {RESUMES}"),
    errno.EFBIG: (
        "larger than this process may write",
        f"raise the limit (ulimit -f) or choose another folder; {RESUMES}",
    ),
    errno.EROFS: ("", "choose a folder that can be written"),
    errno.EACCES: ("", "change its permissions, or choose another file or folder"),
    errno.EPERM: ("", "change its permissions, or choose another file or folder"),
    errno.EIO: ("the disk or the network failed", f"check it; {RESUMES}"),
    errno.EMFILE: ("", f"raise the limit (ulimit -n); {RESUMES}"),
    errno.ENFILE: ("", f"close other programs; {RESUMES}"),
    errno.ENAMETOOLONG: ("", "choose a shorter name"),
    errno.ENOENT: ("", "it must exist until the command ends"),
}
_MEMORY = "fewer --jobs, a smaller --batch or a smaller --resolution need less memory"
# Phrases in the RuntimeErrors that torch raises when memory ends, beside its OutOfMemoryError.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory")


def system_error_line(error: BaseException) -> str | None:
    """Describe an error that the machine is to blame for.

    Args:
        error: any exception.

    Returns:
        A line that names the file and says what to do; None for another kind of error.
    """
    if isinstance(error, OSError):
        return _of_file(error)
    if is_out_of_memory(error):
        reason = _one_line(str(error).partition(". ")[0]) or "an array did not fit"
        return f"not enough memory ({reason}); {_MEMORY}; {RESUMES}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """True for an error of Python, numpy or torch that says that memory has ended."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    is_of_torch = isinstance(error, RuntimeError)
    return is_of_torch and any(phrase in str(error) for phrase in _NO_MEMORY)


def _of_file(error: OSError) -> str:
    if is_out_of_memory(error):
        return f"not enough memory; {_MEMORY}; {RESUMES}"
    problem, remedy = _REMEDIES.get(error.errno or 0, ("", "--debug shows where it happened"))
    own_words = error.strerror or str(error) or type(error).__name__
    problem = problem or _one_line(own_words)
    if error.filename is None:
        return f"{problem}; {remedy}"
    name = error.filename
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if name.partition("/")[0] == "~":  # a library has looked for a home folder in vain
        return f"HOME: this user has no home folder ({problem}); set HOME to one"
    return f"{_one_line(name)}: {problem}; {remedy}"


def _one_line(text: str) -> str:
    """Replace control characters, which would move the cursor of a terminal, and cut the rest."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown.strip()[:LONGEST]
