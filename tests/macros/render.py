#!/usr/bin/env python3
"""Renders every macro of macros/*.cfg with Klipper's Jinja2 settings; exits 1 and says why when one can go wrong.

Needs jinja2 (any version from 2.10). Each macro is rendered without parameters, with each parameter alone, with all of
them, and with hostile ones. A rendering must end in one of two ways: the macro's own refusal in fixed words, or
calls and G-code that Klipper can take: nothing undefined, JSON that can be sent, shell words that split.
"""
import configparser
import itertools
import json
import pathlib
import re
import shlex
import sys

import jinja2

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "macros"
FILES = ("octopus.cfg", "octopus_shell.cfg")

GOOD = {
    "BOARD": "octopus-v1.1-f446",
    "IMAGE": "~/firmware/klipper.bin",
    "CONFIRM": "1",
    "SEEN": "cold,still",
    "FORCE": "unknown-kind",
    "REPLACE_BOOTLOADER": "1",
    "HOLD": "60",
    "INTERFACE": "can1",
    "MSG": "Octopus: flashed 'octopus-v1.1-f446', 28 KiB",
    "NAME": "phone",
}

HOSTILE = [
    "",
    " ",
    "1",
    "0",
    "-1",
    "--virtual=octopus-v1.1-f446",
    "a b",
    'a"b',
    "a'b",
    "a\\",
    "a\nM112",
    "a\rM112",
    "a;M112",
    "a#b",
    "$(reboot)",
    "`reboot`",
    "{printer}",
    "{% raw %}",
    "a=b",
    "nan",
    "inf",
    "1e9",
    "99999",
    "3601",
    "\u0663",
    "\u00b2",
    "\u00e4\u00f6",
    "\ud800",
    "\0",
    "None",
    "true",
    ",",
    "../../etc/passwd",
    "x" * 401,
    "x" * 100000,
]


class Refused(Exception):
    """action_raise_error, as Klipper's macros end on purpose."""


class World:
    """What a macro can do to Klipper, written down."""

    def __init__(self):
        self.calls = []
        self.said = []

    def context(self, params):
        return {
            "printer": {},
            "params": params,
            "rawparams": "",
            "action_emergency_stop": self.emergency_stop,
            "action_respond_info": self.respond_info,
            "action_raise_error": self.raise_error,
            "action_call_remote_method": self.call_remote_method,
        }

    def emergency_stop(self, msg=""):
        raise AssertionError("emergency stop")

    def respond_info(self, msg):
        self.said.append(msg)
        return ""

    def raise_error(self, msg):
        raise Refused(msg)

    def call_remote_method(self, method, **kwargs):
        json.dumps({"method": method, "params": kwargs}, allow_nan=False)
        self.calls.append((method, kwargs))
        return ""


def environments():
    """Klipper's environment, with and without the extension that some versions of it and Kalico load."""
    yield jinja2.Environment("{%", "%}", "{", "}")
    yield jinja2.Environment("{%", "%}", "{", "}", extensions=["jinja2.ext.do"])
    # Not Klipper's: here an undefined name is an error even where it would only be printed as nothing.
    yield jinja2.Environment("{%", "%}", "{", "}", undefined=jinja2.StrictUndefined)


def read(path):
    """Reads a file as Klipper does: a hash ends a line anywhere."""
    text = path.read_text(encoding="ascii")
    lines = [line.split("#", 1)[0] for line in text.split("\n")]
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    parser.read_string("\n".join(lines), path.name)
    return parser


def assignments(names):
    """No parameter, each alone, all, and every hostile value at every parameter beside good ones."""
    yield {}
    for name in names:
        yield {name: GOOD[name]}
    yield {name: GOOD[name] for name in names}
    for name, value in itertools.product(names, HOSTILE):
        yield {name: value}
        yield {**{other: GOOD[other] for other in names}, name: value}
    for value in HOSTILE:
        yield {name: value for name in names}


def gcode_parameters(line):
    """A line's parameters as Klipper takes them apart; raises ValueError as it does."""
    lexer = shlex.shlex(line.split(None, 1)[1], posix=True)
    lexer.whitespace_split = True
    lexer.commenters = "#;"
    return dict(word.split("=", 1) for word in lexer)


def words_of(kwargs):
    """Every string that a call sends."""
    for value in kwargs.values():
        assert isinstance(value, (str, int, list)), value
        yield from value if isinstance(value, list) else [value] if isinstance(value, str) else []


def check(template, macro, params):
    """Renders once; returns whether the macro refused. Raises AssertionError for what Klipper could not take."""
    world = World()
    try:
        text = str(template.render(world.context(dict(params))))
    except Refused as refusal:
        assert str(refusal).startswith(macro + ": "), refusal
        assert str(refusal).isascii(), refusal
        assert not world.calls, "called before it refused"
        return True
    if macro.startswith("_"):
        return check_hidden(world, macro, text, params)
    assert all(one.isascii() for one in world.said), world.said
    ran = [line.strip() for line in text.split("\n") if line.strip()]
    for line in ran:
        assert line.isascii() and line.isprintable(), line
        assert line.startswith("RUN_SHELL_COMMAND CMD=octopus "), line
        taken = gcode_parameters(line)
        assert sorted(taken) == ["CMD", "PARAMS"], taken
        verb, *options = shlex.split(taken["PARAMS"])
        assert re.fullmatch(r"[a-z][a-z-]*", verb), verb
        for option in options:
            assert re.fullmatch(r"--[a-z][a-z-]*(=[\w.,:/~+-]+)?", option, re.ASCII), option
            assert not option.startswith("--virtual"), option
        assert ("--dry-run" in options) == (verb == "flash" and params.get("CONFIRM", "").strip() != "1"), options
    for method, kwargs in world.calls:
        assert re.fullmatch(r"octopus\.[a-z_]+", method), method
        for word in words_of(kwargs):
            assert re.fullmatch(r"[\w.,:/~+-]{1,400}", word, re.ASCII), kwargs
        if method == "octopus.dfu_enter":
            assert re.fullmatch(r"[0-9]{1,4}", params.get("HOLD", "30").strip(), re.ASCII), params
            assert kwargs["hold_s"] == int(params.get("HOLD", "30")) <= 3600, kwargs
        if method == "octopus.flash":
            assert kwargs["dry_run"] is (params.get("CONFIRM", "").strip() != "1"), kwargs
    assert len(ran) + len(world.calls) == 1, "one request a macro"
    return False


def check_hidden(world, macro, text, params):
    """The daemon's own voice: it hands on what it is given and runs not a line of it."""
    message, name = params.get("MSG", ""), params.get("NAME", "").strip()
    is_say = macro == "_OCTOPUS_SAY"
    assert not text.strip(), text
    assert world.said == ([message] if is_say and message else []), world.said
    calls = [] if is_say or not name else [("notify", {"name": name, "message": message})]
    assert world.calls == calls, world.calls
    return False


def main():
    count = refusals = 0
    for file, environment in itertools.product(FILES, environments()):
        parser = read(FOLDER / file)
        for section in parser.sections():
            if not section.startswith("gcode_macro "):
                continue
            macro = section.split()[1]
            source = parser.get(section, "gcode")
            names = sorted(set(re.findall(r"params\.(\w+)", source)))
            template = environment.from_string(source)
            assert check(template, macro, {}) is False, "%s without parameters is refused" % macro
            assert check(template, macro, {n: GOOD[n] for n in names}) is False, "%s is refused" % macro
            for params in assignments(names):
                try:
                    refusals += check(template, macro, params)
                except Exception as error:  # whatever it is, Klipper would have met it
                    print("%s: %s %s: %r" % (file, macro, ascii(params)[:300], error))
                    return 1
                count += 1
    print("jinja2 %s: %d renderings, %d of them refused, none undefined" % (jinja2.__version__, count, refusals))
    return 0


if __name__ == "__main__":
    sys.exit(main())
