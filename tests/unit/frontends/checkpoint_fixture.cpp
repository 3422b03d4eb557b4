#include "checkpoint_fixture.h"

#include <ATen/TensorOperators.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "base/output_file.h"
#include "frontends/mapped_tensor.h"
#include "io/json.h"
#include "io/safetensors_reader.h"
#include "io/safetensors_writer.h"
#include "ir/scalar_types.h"

namespace lathe::frontends {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "lathe_frontends_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw_user("{}: cannot be made", name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

TestCheckpoint TestCheckpoint::read(const fs::path& folder) {
  TestCheckpoint checkpoint;
  checkpoint.config = io::read_ordered_json(folder / "config.json");
  if (fs::exists(folder / "hf_quant_config.json")) {
    checkpoint.quant_config = io::read_ordered_json(folder / "hf_quant_config.json");
  }
  const auto source = io::SafetensorsCheckpoint::open(folder);
  for (const io::TensorEntry& entry : source.tensors()) {
    const auto bytes = entry.data();
    checkpoint.tensors.push_back(
        {entry.name, entry.dtype, entry.shape,
         std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
  }
  return checkpoint;
}

TestCheckpoint::Tensor& TestCheckpoint::at(const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  if (found == tensors.end()) throw_user("no tensor {}", name);
  return *found;
}

void TestCheckpoint::erase(const std::string& name) {
  const auto count =
      std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
  if (count != 1) throw_user("no tensor {}", name);
}

void TestCheckpoint::rename(const std::string& name, const std::string& other) {
  at(name).name = other;
}

void TestCheckpoint::add(const std::string& name, DType dtype, std::vector<int64_t> shape) {
  tensors.push_back({name, dtype, {}, {}});
  reshape(name, std::move(shape));
}

void TestCheckpoint::reshape(const std::string& name, std::vector<int64_t> shape) {
  Tensor& tensor = at(name);
  size_t bytes = dtype_size(tensor.dtype);
  for (int64_t size : shape) bytes *= static_cast<size_t>(size);
  tensor.shape = std::move(shape);
  tensor.bytes.assign(bytes, '\0');
}

void TestCheckpoint::write(const fs::path& folder) const {
  if (!config.is_null()) write_file(folder / "config.json", io::dump_json(config));
  if (!quant_config.is_null()) {
    write_file(folder / "hf_quant_config.json", io::dump_json(quant_config));
  }
  std::vector<io::TensorToWrite> written;
  for (const Tensor& tensor : tensors) {
    written.push_back({tensor.name, tensor.dtype, tensor.shape,
                       std::as_bytes(std::span(tensor.bytes.data(), tensor.bytes.size()))});
  }
  io::write_safetensors(folder / "model.safetensors", written);
}

fs::path golden_folder(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/unit/frontends/golden" / name;
}

fs::path reference_folder(const std::string& name) { return fs::path(LATHE_GOLDEN_DIR) / name; }

ops::NamedTensors read_tensors(const fs::path& file) {
  const auto source = io::SafetensorsFile::open(file);
  ops::NamedTensors tensors;
  for (const io::TensorEntry& entry : source.tensors()) {
    tensors[entry.name] =
        map_tensor(entry.file, entry.offset, ir::to_scalar_type(entry.dtype), entry.shape);
  }
  return tensors;
}

at::Tensor logits_of(const ir::Model& model, const ops::NamedTensors& inputs) {
  ops::Interpreter interpreter;
  return ops::run_model(interpreter, *model.root, inputs).at("logits").to(at::kFloat);
}

double max_error(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

double mean_error(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().mean().item<double>() / b.abs().max().item<double>();
}

OpenedModel open_checkpoint(const TestCheckpoint& checkpoint, const TemporaryFolder& folder) {
  checkpoint.write(folder.path());
  return open_model(folder.path());
}

std::string error_of(ErrorKind kind, const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string open_error(ErrorKind kind, const TestCheckpoint& checkpoint) {
  const TemporaryFolder folder;
  return error_of(kind, [&] { open_checkpoint(checkpoint, folder); });
}

void expect_bad_tensor(const BadTensor& bad, const std::string& module, TestCheckpoint checkpoint) {
  SCOPED_TRACE(fmt::format("{} {}", bad.source, bad.tensor));
  const std::string name = fmt::format("{}.{}", module, bad.tensor);
  if (bad.shape.empty()) {
    checkpoint.erase(name);
  } else {
    checkpoint.reshape(name, bad.shape);
  }
  expect_contains(open_error(ErrorKind::kData, checkpoint), bad.message);
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in:\n" << text;
}

}  // namespace lathe::frontends
