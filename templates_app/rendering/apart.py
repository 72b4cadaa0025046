"""The compilers that are not written in Python, each call in a process of its own.

They are recursive, and a stack that overflows ends the process. How deep a source is nested only they can tell: what
reads it before them would have to agree with them about every broken tag. So they run where their end is an answer.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

# Of what they make; a template may have half a MiB.
_LARGEST = 16 * 1024 * 1024
_MEMORY = 1024 * 1024 * 1024
_CPU_SECONDS = 5
# On a machine that is busy with other things.
_SECONDS = 60.0
_REFUSED, _TOO_MUCH = 3, 4


class Overwhelmed(Exception):
    """The compiler did not survive the source, or was stopped for the time or memory it took."""


def inlined(html: str) -> str:
    """`html` with the rules of its style sheets in the tags; raises Overwhelmed, and ValueError with what it says."""
    return _made("css", html)


def compiled_mjml(mjml: str) -> str:
    """The HTML of `mjml`; raises Overwhelmed, and ValueError with what it says."""
    return _made("mjml", mjml)


def _made(kind: str, source: str) -> str:
    # This file only, without what Django or a start of Python bring along: 20 ms.
    command = [sys.executable, "-P", "-S", __file__, kind]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=_SECONDS, env={**os.environ, **paths}
        )
    except subprocess.TimeoutExpired:
        raise Overwhelmed from None
    if done.returncode == _REFUSED:
        raise ValueError(done.stdout.decode())
    if done.returncode < 0 or done.returncode == _TOO_MUCH:
        raise Overwhelmed
    if done.returncode:
        raise RuntimeError(f"The compiler of {kind} does not run: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout.decode()


def _answer(kind: str) -> int:
    """What the process is for: a source comes in, what was made of it or what is wrong with it goes out."""
    for limit, most in ((resource.RLIMIT_CPU, _CPU_SECONDS), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        _bound(limit, most)
    compiler, source = _COMPILERS[kind](), sys.stdin.buffer.read().decode()
    try:
        made, code = compiler(source), 0
    except ValueError as error:
        made, code = str(error), _REFUSED
    except BaseException:  # what Rust calls a panic is no Exception
        return _TOO_MUCH
    if len(made) > _LARGEST:
        return _TOO_MUCH
    sys.stdout.buffer.write(made.encode())
    sys.stdout.buffer.flush()
    return code


def _bound(limit: int, most: int) -> None:
    hard = resource.getrlimit(limit)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    # Not every system takes every limit; that the process is one of its own holds without them.
    with suppress(ValueError, OSError):
        resource.setrlimit(limit, (most, most))


def _css() -> Callable[[str], str]:
    from css_inline import CSSInliner

    return CSSInliner(keep_style_tags=True, load_remote_stylesheets=False).inline


def _mjml() -> Callable[[str], str]:
    from mjml import mjml2html

    return partial(mjml2html, fonts={})


_COMPILERS = {"css": _css, "mjml": _mjml}

if __name__ == "__main__":
    sys.exit(_answer(sys.argv[1]))
