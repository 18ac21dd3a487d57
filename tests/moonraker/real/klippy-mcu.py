#!/usr/bin/env python3
"""A micro-controller that Klippy takes for ready, and no more: klippy-mcu.py LINK

Makes a terminal, links it as LINK and answers there what Klippy asks while it connects. Written from Klipper's
docs/Protocol.md and docs/MCU_Commands.md; it has no pins, so a printer.cfg may name none.
"""
import json
import os
import pty
import sys
import time
import tty
import zlib

CLOCK_HZ = 20_000_000
# Ids 0 and 1 are fixed by the protocol; none of these needs more than one byte.
COMMANDS = {
    "identify offset=%u count=%c": 1,
    "get_uptime": 2,
    "get_clock": 3,
    "get_config": 4,
    "allocate_oids count=%c": 5,
    "finalize_config crc=%u": 6,
    "emergency_stop": 7,
    "config_reset": 8,
    "clear_shutdown": 9,
}
RESPONSES = {
    "identify_response offset=%u data=%.*s": 0,
    "uptime high=%u clock=%u": 20,
    "clock clock=%u": 21,
    "config is_config=%c crc=%u is_shutdown=%c move_count=%hu": 22,
    "shutdown clock=%u static_string_id=%hu": 23,
    "is_shutdown static_string_id=%hu": 24,
    "starting": 25,
    "stats count=%u sum=%u sumsq=%u": 26,
}
DICTIONARY = zlib.compress(
    json.dumps(
        {
            "app": "Klipper",
            "version": "v0.13.0-stand-in",
            "build_versions": "none",
            "config": {"CLOCK_FREQ": CLOCK_HZ, "MCU": "standin", "STATS_SUMSQ_BASE": 256},
            "commands": COMMANDS,
            "responses": RESPONSES,
            "enumerations": {"static_string_id": {"Command request": 1}},
        }
    ).encode()
)


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def vlq(value):
    """Any integer may take five groups of seven bits; small ones take the shortest form."""
    for size, limit in enumerate((96, 12288, 1572864, 201326592), 1):
        if -(limit // 3) <= value < limit:
            break
    else:
        size = 5
    groups = [value >> 7 * index & 0x7F for index in reversed(range(size))]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def take_vlq(data, at):
    byte = data[at]
    value = (byte & 0x7F) - (0x80 if byte & 0x60 == 0x60 else 0)
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = value << 7 | byte & 0x7F
    return value & 0xFFFFFFFF, at + 1


class Mcu:
    def __init__(self, send):
        self.send = send
        self.sequence = 0x10
        self.crc = None
        self.is_shutdown = False
        self.names = {id: format.split(" ") for format, id in COMMANDS.items()}
        self.ids = {format.split(" ")[0]: id for format, id in RESPONSES.items()}

    def block(self, content=b""):
        head = bytes([len(content) + 5, self.sequence]) + content
        self.send(head + crc16(head).to_bytes(2, "big") + b"\x7e")

    def answer(self, name, *values, data=b""):
        content = vlq(self.ids[name]) + b"".join(vlq(value) for value in values)
        self.block(content + (vlq(len(data)) + data if name == "identify_response" else b""))

    def receive(self, buffer):
        """Takes whole blocks out of the buffer; the terminal loses and breaks nothing, so there is no search for sync."""
        while buffer:
            if buffer[0] == 0x7E:
                # Klippy sends one before everything that it sends again.
                del buffer[0]
                continue
            if len(buffer) < max(buffer[0], 5):
                return
            block = bytes(buffer[: buffer[0]])
            del buffer[: len(block)]
            assert crc16(block[:-3]) == int.from_bytes(block[-3:-1], "big"), "a broken block"
            if block[1] == self.sequence:
                self.sequence = block[1] + 1 & 0x0F | 0x10
                self.dispatch(block[2:-3])
            # One that came twice, or the first of a new host: the number that is expected says so.
            self.block()

    def dispatch(self, content):
        at = 0
        while at < len(content):
            id, at = take_vlq(content, at)
            name, *parameters = self.names[id]
            values = []
            for _ in parameters:
                value, at = take_vlq(content, at)
                values.append(value)
            getattr(self, name)(*values)

    def ticks(self):
        return int(time.monotonic() * CLOCK_HZ)

    def identify(self, offset, count):
        self.answer("identify_response", offset, data=DICTIONARY[offset : offset + count])

    def get_uptime(self):
        self.answer("uptime", self.ticks() >> 32, self.ticks() & 0xFFFFFFFF)

    def get_clock(self):
        self.answer("clock", self.ticks() & 0xFFFFFFFF)

    def get_config(self):
        self.answer("config", self.crc is not None, self.crc or 0, self.is_shutdown, 512)

    def allocate_oids(self, count):
        pass

    def finalize_config(self, crc):
        self.crc = crc

    def emergency_stop(self):
        self.is_shutdown = True
        self.answer("shutdown", self.ticks() & 0xFFFFFFFF, 1)

    def config_reset(self):
        self.crc = None
        self.is_shutdown = False

    def clear_shutdown(self):
        self.is_shutdown = False


def main():
    ours, theirs = pty.openpty()
    # Held open, so that the terminal outlives a Klippy that comes and goes.
    tty.setraw(theirs)
    os.symlink(os.ttyname(theirs), sys.argv[1])
    mcu = Mcu(lambda data: os.write(ours, data))
    buffer = bytearray()
    while True:
        buffer += os.read(ours, 4096)
        mcu.receive(buffer)


if __name__ == "__main__":
    main()
