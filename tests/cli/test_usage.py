"""Help, and errors of the command line itself."""

import unittest

from program import USER_ERROR, ProgramTest

COMMANDS = ("quantize", "plan", "eval", "run", "inspect")


class Help(ProgramTest):
    def test_program(self):
        text = self.succeed("--help").stdout
        for command in COMMANDS:
            self.assertIn(command, text)
        self.assertIn("Exit codes", text)

    def test_commands_teach_with_examples(self):
        for command in COMMANDS:
            with self.subTest(command):
                finished = self.succeed(command, "--help")
                self.assertIn("Example", finished.stdout)
                self.assertIn(f"lathe {command} ", finished.stdout)
                self.assertEqual(finished.stderr, "")

    def test_version(self):
        self.assertRegex(self.succeed("--version").stdout, r"^lathe \d+\.\d+\.\d+\n$")

    def test_list_formats(self):
        text = self.succeed("quantize", "--list-formats").stdout
        for name in ("fp8", "FP8_DEFAULT_CFG", "int8_wo", "nvfp4", "W4A16_NVFP4_CFG"):
            self.assertIn(name, text)


class WrongOptions(ProgramTest):
    def test_no_command(self):
        self.fail_with(USER_ERROR, says=["which command?", "quantize"])

    def test_unknown_command(self):
        self.fail_with(USER_ERROR, "quantise", "m", says=['"quantise"', "did you mean quantize"])

    def test_unknown_option(self):
        self.fail_with(USER_ERROR, "quantize", "m", "--fromat", "fp8", says=["--fromat", "did you mean --format"])

    def test_no_model(self):
        self.fail_with(USER_ERROR, "quantize", "--format", "fp8", says=["MODEL"])

    def test_no_format(self):
        self.fail_with(USER_ERROR, "quantize", "m", "-o", "x", says=["--format", "--list-formats"])

    def test_format_and_recipe(self):
        self.fail_with(USER_ERROR, "plan", "m", "--format", "fp8", "--recipe", "r", says=["exclude"])

    def test_no_output(self):
        self.fail_with(USER_ERROR, "quantize", "m", "--format", "fp8", says=["-o"])

    def test_resume_and_force(self):
        self.fail_with(USER_ERROR, "quantize", "m", "-o", "x", "--format", "fp8", "--resume", "--force",
                       says=["--resume", "--force"])

    def test_bad_values(self):
        for option, value, expected in (("--samples", "0", "at least 1"), ("--samples", "many", "at least 1"),
                                        ("--seq-len", "-4", "at least 1"), ("--threads", "0", "at least 1"),
                                        ("--max-shard-size", "5XB", "5GB"), ("--max-shard-size", "0", "5GB"),
                                        ("--dialect", "other", "compressed-tensors"), ("--device", "gpu", "cuda")):
            with self.subTest(option=option, value=value):
                self.fail_with(USER_ERROR, "quantize", "m", "-o", "x", "--format", "fp8", option, value,
                               says=[option, expected, value])

    def test_eval_needs_data(self):
        self.fail_with(USER_ERROR, "eval", "m", says=["--text", "--ids"])
        self.fail_with(USER_ERROR, "eval", "m", "--ids", "text.txt", says=["--text"])
        self.fail_with(USER_ERROR, "eval", "m", "--text", "ids.npy", says=["--ids"])

    def test_missing_model(self):
        for command in (("inspect",), ("eval", "--text", "builtin"), ("plan", "--format", "int8_wo")):
            with self.subTest(command[0]):
                self.fail_with(USER_ERROR, command[0], self.folder / "none", *command[1:], says=[self.folder / "none"])


if __name__ == "__main__":
    unittest.main()
