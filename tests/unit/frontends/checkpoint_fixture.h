#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "frontends/open.h"
#include "lathe/dtype.h"
#include "ops/interpreter.h"

namespace lathe::frontends {

/// A folder that is removed with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A small checkpoint in memory, to be changed and written.
struct TestCheckpoint {
  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };

  nlohmann::ordered_json config;
  nlohmann::ordered_json quant_config;  // hf_quant_config.json; null: none
  std::vector<Tensor> tensors;

  static TestCheckpoint read(const std::filesystem::path& folder);

  Tensor& at(const std::string& name);
  void erase(const std::string& name);
  void rename(const std::string& name, const std::string& other);
  /// A tensor of zero bytes.
  void add(const std::string& name, DType dtype, std::vector<int64_t> shape);
  /// The tensor gets another shape and zero bytes.
  void reshape(const std::string& name, std::vector<int64_t> shape);

  void write(const std::filesystem::path& folder) const;
};

/// Folders of the golden data: made with transformers, beside the tests; and the reference beside
/// the repository.
std::filesystem::path golden_folder(const std::string& name);
std::filesystem::path reference_folder(const std::string& name);

ops::NamedTensors read_tensors(const std::filesystem::path& file);

/// The logits of a model, from the inputs that are named.
at::Tensor logits_of(const ir::Model& model, const ops::NamedTensors& inputs);

/// max |a - b| / max |b|, and the same with the mean of |a - b|.
double max_error(const at::Tensor& a, const at::Tensor& b);
double mean_error(const at::Tensor& a, const at::Tensor& b);

/// Opens a checkpoint that is written to a folder first.
OpenedModel open_checkpoint(const TestCheckpoint& checkpoint, const TemporaryFolder& folder);

/// The message of the Error of this kind that `function` throws; a test failure if it throws none
/// or another kind.
std::string error_of(ErrorKind kind, const std::function<void()>& function);

/// The message of what opening the checkpoint throws.
std::string open_error(ErrorKind kind, const TestCheckpoint& checkpoint);

/// A checkpoint whose tensor is missing, or has another shape, and what opening it says.
struct BadTensor {
  const char* source;
  const char* tensor;
  std::vector<int64_t> shape;  // empty: the tensor is missing
  const char* message;
};
void expect_bad_tensor(const BadTensor& bad, const std::string& module, TestCheckpoint checkpoint);

void expect_contains(const std::string& text, const std::string& part);

}  // namespace lathe::frontends
