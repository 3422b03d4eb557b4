"""Runs that are stopped: killed at random moments and continued, they give the bytes of an undisturbed run."""

import random
import shutil
import signal
import subprocess
import time
import unittest

import safetensors_file
import tiny_models
from program import INTERRUPTED, SUCCESS, USER_ERROR, ProgramTest, digests, start

SIZES = {"hidden": 256, "inner": 512, "layers": 12}
KILLS = 4  # of one run, at most


class Resume(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model", **SIZES)
        self.ids = tiny_models.write_ids(self.folder / "ids.safetensors", samples=32, seq_len=128)

    def arguments(self, out):
        return ("quantize", self.model, "-o", self.folder / out, "--format", "nvfp4", "--calib", self.ids, "--samples", 32,
                "--seq-len", 128, "--max-shard-size", "500kB", "--threads", 1)

    def undisturbed(self):
        """The bytes of a run that nothing stopped, and its seconds."""
        self.succeed("--version")  # so that LibTorch is in the page cache
        begin = time.monotonic()
        self.succeed(*self.arguments("whole"))
        return digests(self.folder / "whole"), time.monotonic() - begin

    def stop_after(self, seconds, number, out, *more):
        """Starts a run and stops it; its exit code (negative for a signal), stdout and stderr."""
        process = start(*self.arguments(out), *more)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        stdout, stderr = process.communicate()
        return process.returncode, stdout, stderr

    def stop_midway(self, number, out):
        """Stops a run when it has recorded some blocks and not all; its exit code, stdout and stderr."""
        process = start(*self.arguments(out))
        records = set()  # sizes of the journal that were seen
        while len(records) < 3 and process.poll() is None:
            records |= {file.stat().st_size for file in (self.folder / f"{out}.lathe-partial").glob("*.journal")}
            time.sleep(0.001)
        process.send_signal(number)
        stdout, stderr = process.communicate()
        self.assertFalse((self.folder / out).exists(), "the run was not stopped midway")
        return process.returncode, stdout, stderr

    def test_killed_at_random_moments(self):
        expected, seconds = self.undisturbed()
        moments = random.Random(5)
        for trial in range(3):
            out = f"killed-{trial}"
            for _ in range(KILLS):
                code, stdout, stderr = self.stop_after(moments.uniform(0.3, 1.0) * seconds, signal.SIGKILL, out, "--resume")
                self.assertIn(code, (SUCCESS, -signal.SIGKILL), stdout + stderr)
                if (self.folder / out).exists():
                    break
            else:
                self.succeed(*self.arguments(out), "--resume")
            self.assertEqual(digests(self.folder / out), expected)
            self.assertFalse((self.folder / f"{out}.lathe-partial").exists())

    def test_finished_blocks_are_kept(self):
        self.stop_midway(signal.SIGKILL, "out")
        report = self.succeed(*self.arguments("out"), "--resume", "--json").json()
        self.assertGreater(report["resumed_units"], 0)

    def test_unfinished_run_is_not_thrown_away(self):
        expected, _ = self.undisturbed()
        self.stop_midway(signal.SIGKILL, "out")
        self.fail_with(USER_ERROR, *self.arguments("out"), says=["--resume"])
        self.succeed(*self.arguments("out"), "--resume")
        self.assertEqual(digests(self.folder / "out"), expected)

    def test_other_options_do_not_continue(self):
        self.stop_midway(signal.SIGKILL, "out")
        arguments = [*self.arguments("out"), "--resume"]
        arguments[arguments.index("nvfp4")] = "fp8"
        self.fail_with(USER_ERROR, *arguments, says=["cannot be resumed"])
        self.assertFalse((self.folder / "out").exists())

    def test_interrupt(self):
        expected, _ = self.undisturbed()
        for name, number in (("int", signal.SIGINT), ("term", signal.SIGTERM)):
            with self.subTest(name):
                code, stdout, stderr = self.stop_midway(number, name)
                self.assertEqual((code, stdout), (INTERRUPTED, ""), stderr)
                self.assertIn("--resume", stderr)
                self.assertFalse((self.folder / name).exists())
                self.succeed(*self.arguments(name), "--resume")
                self.assertEqual(digests(self.folder / name), expected)


class ManyTensors(ProgramTest):
    def test_killed_among_them(self):
        source = random.Random(6)
        weights = [tiny_models.random_weight(source, 16, 32) for _ in range(7)]
        folder = self.folder / "model"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "novel"}')
        safetensors_file.write(folder / "model.safetensors",
                               {f"units.{i}.proj.weight": weights[i % 7] for i in range(30000)})
        arguments = lambda out: ("quantize", folder, "-o", self.folder / out, "--format", "int8_wo")
        self.succeed(*arguments("whole"))
        process = start(*arguments("out"))
        journal = self.folder / "out.lathe-partial" / "lathe-export.journal"
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
            time.sleep(0.001)
        process.kill()
        process.communicate()
        self.assertFalse((self.folder / "out").exists(), "the run was not stopped midway")
        report = self.succeed(*arguments("out"), "--resume", "--json").json()
        self.assertGreater(report["resumed_units"], 1)
        self.assertEqual(digests(self.folder / "out"), digests(self.folder / "whole"))


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
