"""The compilers that are not written in Python, each call in a process of its own.

They are recursive, and a stack that overflows ends the process. How deep a source is nested only they can tell: what
reads it before them would have to agree with them about every broken tag. So they run where their end is an answer.
"""

import os
import resource
import subprocess
import sys

# Of what they make; a template may have half a MiB.
_LARGEST = 16 * 1024 * 1024
_MEMORY = 1024 * 1024 * 1024
_CPU_SECONDS = 5
# On a machine that is busy with other things.
_SECONDS = 60.0
_REFUSED = 3


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
    if done.returncode:
        raise Overwhelmed
    return done.stdout.decode()


def _answer(kind: str) -> int:
    """What the process is for: a source comes in, what was made of it or what is wrong with it goes out."""
    _bound()
    source = sys.stdin.buffer.read().decode()
    try:
        made, code = _COMPILERS[kind](source), 0
    except ValueError as error:
        made, code = str(error), _REFUSED
    if len(made) > _LARGEST:
        return 1
    sys.stdout.buffer.write(made.encode())
    sys.stdout.buffer.flush()
    return code


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _css(source: str) -> str:
    from css_inline import CSSInliner

    return CSSInliner(keep_style_tags=True, load_remote_stylesheets=False).inline(source)


def _mjml(source: str) -> str:
    from mjml import mjml2html

    return mjml2html(source, fonts={})


_COMPILERS = {"css": _css, "mjml": _mjml}

if __name__ == "__main__":
    sys.exit(_answer(sys.argv[1]))
