#include "lathe/tensor.h"

#include <filesystem>

#include "base/checked.h"
#include "base/error.h"
#include "io/npy.h"
#include "io/safetensors_reader.h"
#include "io/safetensors_writer.h"

namespace lathe {

Tensor::Tensor(DType dtype, std::vector<int64_t> shape, const void* data,
               std::shared_ptr<const void> owner)
    : dtype_(dtype), shape_(std::move(shape)), data_(data), owner_(std::move(owner)) {
  const auto numel = checked_numel(shape_);
  if (!numel) throw_user("a tensor's shape has a negative size or too many elements");
  numel_ = *numel;
}

size_t Tensor::bytes() const { return static_cast<size_t>(numel_) * dtype_size(dtype_); }

void Tensor::check_dtype(DType wanted) const {
  if (dtype_ != wanted)
    throw_user("a tensor of {} was read as {}", dtype_name(dtype_), dtype_name(wanted));
}

void Tensor::check_count(size_t count) const {
  if (count != static_cast<size_t>(numel_)) {
    throw_user("a tensor of {} elements was made from {} values", numel_, count);
  }
}

namespace {

Tensor from_npy(const io::NpyArray& array) {
  return Tensor(array.dtype, array.shape, array.data.data(), array.owner);
}

NamedTensors load_safetensors(const std::string& path) {
  NamedTensors tensors;
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  for (const io::TensorEntry& entry : file.tensors()) {
    tensors.emplace(entry.name, Tensor(entry.dtype, entry.shape, entry.data().data(), entry.file));
  }
  return tensors;
}

}  // namespace

NamedTensors load_tensors(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  NamedTensors tensors;
  if (extension == ".safetensors") return load_safetensors(path);
  if (extension == ".npy") {
    tensors.emplace("input_ids", from_npy(io::read_npy(path)));
    return tensors;
  }
  if (extension == ".npz") {
    for (const auto& [name, array] : io::read_npz(path)) tensors.emplace(name, from_npy(array));
    return tensors;
  }
  throw_user("{}: tensors are read from .safetensors, .npz and .npy files", path);
}

void save_tensors(const std::string& path, const NamedTensors& tensors) {
  std::vector<io::TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({name,
                       tensor.dtype(),
                       tensor.shape(),
                       {static_cast<const std::byte*>(tensor.data()), tensor.bytes()}});
  }
  io::write_safetensors(path, entries);
}

}  // namespace lathe
