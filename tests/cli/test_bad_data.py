"""Calibration and evaluation data that cannot be used."""

import unittest

import safetensors_file
import tiny_models
from program import DATA_ERROR, USER_ERROR, ProgramTest


class BadCalibration(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = tiny_models.write_llama(self.folder / "model")

    def refuse(self, code, data, *says, arguments=()):
        """Neither quantize nor eval takes it."""
        option = "--ids" if str(data).endswith(("safetensors", "npy")) else "--text"
        self.fail_with(code, "eval", self.model, option, data, *arguments, says=says)
        self.fail_with(code, "quantize", self.model, "-o", self.folder / "out", "--format", "fp8", "--calib", data,
                       *arguments, says=says)
        self.assertFalse((self.folder / "out").exists())

    def write_text(self, text, name="data.txt"):
        path = self.folder / name
        path.write_text(text)
        return path

    def write_rows(self, rows):
        path = self.folder / "ids.safetensors"
        safetensors_file.write(path, {"input_ids": safetensors_file.ids(rows)})
        return path

    def test_no_data(self):
        self.fail_with(USER_ERROR, "quantize", self.model, "-o", self.folder / "out", "--format", "fp8",
                       says=["--calib builtin"])
        self.assert_untouched("model")

    def test_missing_file(self):
        self.refuse(USER_ERROR, self.folder / "none.txt", "none.txt")

    def test_unknown_kind(self):
        self.refuse(USER_ERROR, self.write_text("text", "data.csv"), "data.csv", ".jsonl")

    def test_empty_file(self):
        self.refuse(DATA_ERROR, self.write_text(""), "data.txt")

    def test_too_short(self):
        self.refuse(DATA_ERROR, self.write_text("ten bytes."), "data.txt", "10", "64", arguments=["--seq-len", 64])

    def test_bad_line_of_jsonl(self):
        path = self.write_text('{"text": "fine"}\n{"text": \n', "data.jsonl")
        self.refuse(DATA_ERROR, path, "data.jsonl:2")

    def test_record_without_text(self):
        self.refuse(DATA_ERROR, self.write_text('{"prompt": "x"}\n', "data.jsonl"), "data.jsonl:1", "messages")

    def test_ids_outside_the_vocabulary(self):
        for bad in (tiny_models.VOCABULARY, -1):
            with self.subTest(bad):
                self.refuse(DATA_ERROR, self.write_rows([[1, 2, 3, 4], [5, bad, 6, 7]]), bad, "vocabulary",
                            arguments=["--seq-len", 4])

    def test_rows_shorter_than_seq_len(self):
        self.refuse(DATA_ERROR, self.write_rows([[1, 2, 3, 4]]), "--seq-len", arguments=["--seq-len", 8])

    def test_no_input_ids(self):
        path = self.folder / "ids.safetensors"
        safetensors_file.write(path, {"tokens": safetensors_file.ids([[1, 2]])})
        self.refuse(DATA_ERROR, path, "input_ids")

    def test_text_without_tokenizer(self):
        (self.model / "tokenizer.json").unlink()
        self.refuse(USER_ERROR, self.write_text("some text " * 100), "tokenizer")


if __name__ == "__main__":
    unittest.main()
