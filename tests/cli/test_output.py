"""The output folder: nothing is overwritten unasked, nothing is left half-written."""

import contextlib
import os
import resource
import signal
import subprocess
import unittest

import tiny_models
from program import PROGRAM, USER_ERROR, ProgramTest, digests


def allow_small_files_only():
    """In the child: writing beyond 20 kB of a file fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@contextlib.contextmanager
def small_disk(folder):
    """A folder with room for 60 kB, and what the program must be started with: a tmpfs where mounting is allowed,
    else files that cannot grow."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", folder], stderr=subprocess.DEVNULL).returncode == 0
    try:
        yield {} if mounted else {"preexec_fn": allow_small_files_only}
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


class Output(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model")
        self.out = self.folder / "out"
        self.quantize = ("quantize", self.model, "-o", self.out, "--format", "w4a16_nvfp4")

    def test_existing_checkpoint(self):
        self.succeed(*self.quantize)
        before = digests(self.out)
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.out, "--format", "int8_wo",
                       says=[self.out, "--force"])
        self.assertEqual(digests(self.out), before)
        self.succeed("quantize", self.model, "-o", self.out, "--format", "int8_wo", "--force")
        self.assertNotEqual(digests(self.out), before)

    def test_existing_folder_that_is_no_checkpoint(self):
        self.out.mkdir()
        (self.out / "letters.txt").write_text("mine")
        for arguments in ((), ("--force",)):
            with self.subTest(arguments):
                self.fail_with(USER_ERROR, *self.quantize, *arguments, says=[self.out])
                self.assertEqual((self.out / "letters.txt").read_text(), "mine")

    def test_output_over_the_model(self):
        before = digests(self.model)
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.model, "--format", "int8_wo", "--force",
                       says=[self.model])
        self.assertEqual(digests(self.model), before)

    def test_full_disk(self):
        disk = self.folder / "disk"
        with small_disk(disk) as options:
            self.fail_with(USER_ERROR, "quantize", self.model, "-o", disk / "out", "--format", "int8_wo",
                           says=[disk, "needs", "the disk has"], **options)
            self.assertFalse((disk / "out").exists())

    def test_file_that_cannot_grow(self):
        """The disk has room when the job is planned, and has none when it writes."""
        self.fail_with(USER_ERROR, *self.quantize, says=[self.out], preexec_fn=allow_small_files_only)
        self.assertFalse(self.out.exists())

    def test_output_on_a_full_device(self):
        with open("/dev/full", "w") as full:
            process = subprocess.run([PROGRAM, "inspect", self.model], stdout=full, stderr=subprocess.PIPE,
                                     text=True)
        self.assertEqual(process.returncode, USER_ERROR, process.stderr)
        self.assertIn("standard output", process.stderr)


if __name__ == "__main__":
    unittest.main()
