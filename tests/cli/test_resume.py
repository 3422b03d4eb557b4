"""Runs that are stopped: killed at random moments and continued, they give the bytes of an undisturbed run."""

import random
import signal
import subprocess
import time
import unittest

import tiny_models
from program import INTERRUPTED, SUCCESS, USER_ERROR, ProgramTest, digests, lathe, start

SIZES = {"hidden": 256, "inner": 512, "layers": 12}
ATTEMPTS = 60  # more than that: the run makes no progress


class Resume(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model", **SIZES)
        self.ids = tiny_models.write_ids(self.folder / "ids.safetensors", samples=32, seq_len=128)

    def arguments(self, out):
        return ("quantize", self.model, "-o", self.folder / out, "--format", "nvfp4", "--calib", self.ids, "--samples", 32,
                "--seq-len", 128, "--max-shard-size", "500kB", "--threads", 1)

    def undisturbed(self):
        begin = time.monotonic()
        self.succeed(*self.arguments("whole"))
        return digests(self.folder / "whole"), time.monotonic() - begin

    def stop_after(self, seconds, signal_number, out, *more):
        """Starts a run and stops it; its exit code, negative for a signal."""
        process = start(*self.arguments(out), *more)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal_number)
        stdout, stderr = process.communicate()
        return process.returncode, stdout, stderr

    def test_killed_at_random_moments(self):
        expected, seconds = self.undisturbed()
        moments = random.Random(5)
        for trial in range(3):
            out = f"killed-{trial}"
            kills = 0
            for _ in range(ATTEMPTS):
                code, stdout, stderr = self.stop_after(moments.uniform(0.3, 1.0) * seconds, signal.SIGKILL, out,
                                                       "--resume")
                if code == SUCCESS:
                    break
                self.assertEqual(code, -signal.SIGKILL, stdout + stderr)
                if (self.folder / out).exists():  # killed after its work was done: compared below
                    break
                kills += 1
                if kills == 4:
                    self.succeed(*self.arguments(out), "--resume")
                    break
            self.assertEqual(digests(self.folder / out), expected, f"{kills} kills")

    def test_finished_blocks_are_kept(self):
        _, seconds = self.undisturbed()
        for share in (0.9, 0.8, 0.7, 0.6):
            code, _, _ = self.stop_after(share * seconds, signal.SIGKILL, "out", "--force")
            if code == SUCCESS:
                continue
            report = self.succeed(*self.arguments("out"), "--resume", "--json").json()
            if report["resumed_units"] > 0:
                return
        self.fail("no run was stopped after its first block and before its end")

    def test_unfinished_run_is_not_thrown_away(self):
        _, seconds = self.undisturbed()
        code, _, _ = self.stop_after(0.6 * seconds, signal.SIGKILL, "out")
        self.assertEqual(code, -signal.SIGKILL)
        finished = lathe(*self.arguments("out"))
        if finished.code != SUCCESS:  # it was killed late enough to leave something
            self.assertEqual(finished.code, USER_ERROR, str(finished))
            self.assertIn("--resume", finished.stderr)
            self.succeed(*self.arguments("out"), "--resume")
        self.assertEqual(digests(self.folder / "out"), digests(self.folder / "whole"))

    def test_other_options_do_not_continue(self):
        _, seconds = self.undisturbed()
        code, _, _ = self.stop_after(0.8 * seconds, signal.SIGKILL, "out")
        self.assertEqual(code, -signal.SIGKILL)
        arguments = [*self.arguments("out"), "--resume"]
        arguments[arguments.index("nvfp4")] = "fp8"
        finished = lathe(*arguments)
        if finished.code == SUCCESS:  # it was killed before it wrote anything: a fresh run
            arguments[3] = self.folder / "fresh"
            self.succeed(*arguments)
            self.assertEqual(digests(self.folder / "out"), digests(self.folder / "fresh"))
        else:
            self.assertEqual(finished.code, USER_ERROR, str(finished))

    def test_interrupt(self):
        expected, seconds = self.undisturbed()
        for name, number in (("int", signal.SIGINT), ("term", signal.SIGTERM)):
            with self.subTest(name):
                code, stdout, stderr = self.stop_after(0.6 * seconds, number, name)
                self.assertEqual((code, stdout), (INTERRUPTED, ""), stderr)
                self.assertIn("--resume", stderr)
                self.assertFalse((self.folder / name).exists())
                self.succeed(*self.arguments(name), "--resume")
                self.assertEqual(digests(self.folder / name), expected)


class Threads(ProgramTest):
    def test_one_and_two_threads_give_the_same_bytes(self):
        model = tiny_models.write_llama(self.folder / "model", hidden=128, inner=256, layers=3)
        ids = tiny_models.write_ids(self.folder / "ids.safetensors", samples=16, seq_len=64)
        for name in ("fp8", "nvfp4", "int8_wo", "mxfp8"):
            with self.subTest(name):
                results = []
                for threads in (1, 2):
                    out = self.folder / f"{name}-{threads}"
                    self.succeed("quantize", model, "-o", out, "--format", name, "--calib", ids, "--seq-len", 64,
                                 "--kv-cache", "fp8", "--threads", threads)
                    results.append(digests(out))
                self.assertEqual(results[0], results[1])


if __name__ == "__main__":
    unittest.main()
