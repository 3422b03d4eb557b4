"""Starts the real program; the base of all tests here."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ.get("LATHE_PROGRAM", "")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = SOURCE / "tests" / "golden"

SUCCESS, USER_ERROR, DATA_ERROR, INTERRUPTED = 0, 2, 3, 130
TIMEOUT = 300


def start(*arguments, **options):
    """The program as a process whose output is read as text."""
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


class Finished:
    def __init__(self, arguments, code, stdout, stderr):
        self.command = " ".join(["lathe", *map(str, arguments)])
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def json(self):
        return json.loads(self.stdout)

    def __str__(self):
        return f"$ {self.command}\nexit code {self.code}\n{self.stdout}{self.stderr}"


def lathe(*arguments, **options):
    process = start(*arguments, **options)
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"no end after {TIMEOUT} s: {' '.join(map(str, arguments))}\n{stderr}") from None
    return Finished(arguments, process.returncode, stdout, stderr)


def digests(folder):
    """Name -> SHA-256 of each file."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


class ProgramTest(unittest.TestCase):
    """Each test has an empty folder of its own."""

    def setUp(self):
        self.assertTrue(PROGRAM, "LATHE_PROGRAM names the program: run these tests with ctest")
        scratch = tempfile.TemporaryDirectory(prefix="lathe-cli-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def succeed(self, *arguments, **options):
        finished = lathe(*arguments, **options)
        self.assertEqual(finished.code, SUCCESS, str(finished))
        return finished

    def fail_with(self, code, *arguments, says=(), **options):
        """The program ends with `code`, nothing on stdout, and one error that holds all of `says`."""
        finished = lathe(*arguments, **options)
        self.assertEqual(finished.code, code, str(finished))
        self.assertEqual(finished.stdout, "", str(finished))
        self.assertEqual(finished.stderr.count("error: "), 1, str(finished))
        for text in says:
            self.assertIn(str(text), finished.stderr, str(finished))
        return finished

    def assert_untouched(self, *names):
        """Nothing was written beside the inputs."""
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), sorted(names))
