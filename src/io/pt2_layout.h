#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/zip.h"
#include "lathe/dtype.h"

namespace lathe::io {

/// schema_version.major of the programs that Lathe reads and writes: torch 2.6 and later.
inline constexpr int64_t kPt2SchemaMajor = 8;

/// Which entries of an archive of torch.export.save hold what.
struct Pt2Layout {
  bool pickled;           // torch 2.6 and 2.7: tensors are in files of torch.save
  std::string program;    // JSON
  std::string weights;    // of torch.save; else JSON that lists the entries of weights_folder
  std::string constants;  // the same for constants and buffers that are not saved
  std::string weights_folder = {};    // "net/data/weights/"
  std::string constants_folder = {};  // "net/data/constants/"
};

/// DataError if the archive is of another kind or holds more than one model. The entries that it
/// names may be missing, but for the program.
Pt2Layout find_pt2_layout(const ZipArchive& archive);

/// Codes of dtypes in the program's JSON and the lists of tensors: torch.export's ScalarType.
/// Nothing for codes that Lathe has no dtype of.
std::optional<DType> dtype_of_pt2_code(int64_t code);
int64_t pt2_code_of_dtype(DType dtype);

}  // namespace lathe::io
