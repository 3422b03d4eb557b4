#include "io/safetensors_writer.h"

#include <unordered_set>

#include "base/error.h"
#include "base/output_file.h"
#include "io/safetensors_header_text.h"

namespace lathe::io {

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<DType> dtypes;
  std::unordered_set<std::string_view> names;
  for (const TensorToWrite& tensor : tensors) {
    const size_t expected = tensor_bytes(tensor.name, tensor.dtype, tensor.shape);
    check_internal(tensor.bytes.size() == expected,
                   "{}: tensor \"{}\" has {} bytes, its shape needs {}", path.string(), tensor.name,
                   tensor.bytes.size(), expected);
    check_internal(names.insert(tensor.name).second, "{}: tensor \"{}\" is given twice",
                   path.string(), tensor.name);
    dtypes.push_back(tensor.dtype);
  }
  const std::vector<size_t> order = file_order(dtypes);
  std::vector<HeaderEntry> entries;
  size_t begin = 0;
  for (const size_t i : order) {
    entries.push_back(
        {tensors[i].name, tensors[i].dtype, tensors[i].shape, begin, tensors[i].bytes.size()});
    begin += tensors[i].bytes.size();
  }
  OutputFile file(path);
  file.write(header_text(entries, metadata));
  for (const size_t i : order) file.write(tensors[i].bytes);
  file.commit();
}

}  // namespace lathe::io
