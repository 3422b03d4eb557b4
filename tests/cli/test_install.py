"""cmake --install, and a program outside of the tree that finds the library with find_package(Lathe)."""

import os
import pathlib
import subprocess
import unittest

import safetensors_file
from program import GOLDEN, SOURCE, ProgramTest

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(Consumer LANGUAGES CXX)
find_package(Lathe 0.1 REQUIRED)
add_executable(quantize_fp8 quantize_fp8.cpp)
target_link_libraries(quantize_fp8 PRIVATE Lathe::lathe)
"""


def run(*command, **options):
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


class Install(ProgramTest):
    def setUp(self):
        super().setUp()
        build = pathlib.Path(os.environ["LATHE_BUILD"])
        self.prefix = self.folder / "prefix"
        run("cmake", "--install", build, "--prefix", self.prefix)

    def build_consumer(self):
        project = self.folder / "consumer"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(PROJECT)
        (project / "quantize_fp8.cpp").write_bytes((SOURCE / "examples" / "quantize_fp8.cpp").read_bytes())
        run("cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", project / "build")
        return project / "build" / "quantize_fp8"

    def test_installed_program(self):
        self.assertIn("lathe ", run(self.prefix / "bin" / "lathe", "--version"))

    def test_headers_need_no_definitions(self):
        headers = {file.name for file in (self.prefix / "include" / "lathe").iterdir()}
        self.assertEqual(headers, {file.name for file in (SOURCE / "include" / "lathe").glob("*.h")})

    def test_example_outside_of_the_tree(self):
        program = self.build_consumer()
        rows = [[(11 * i + row) % 256 for i in range(32)] for row in range(8)]
        ids = self.folder / "ids.safetensors"
        safetensors_file.write(ids, {"input_ids": safetensors_file.ids(rows)})
        out = self.folder / "out"
        printed = run(program, GOLDEN / "hf" / "llama", out, ids)
        self.assertIn("model.layers.0.mlp.up_proj.weight_quantizer", printed)
        self.assertRegex(printed, r"perplexity \d+")
        tensors = safetensors_file.read(out / "model.safetensors")
        self.assertEqual(tensors["model.layers.0.mlp.up_proj.weight"].dtype, "F8_E4M3")
        self.assertIn("model.layers.0.mlp.up_proj.input_scale", tensors)
        self.assertNotEqual(tensors["model.embed_tokens.weight"].dtype, "F8_E4M3")


if __name__ == "__main__":
    unittest.main()
