#pragma once

#include <functional>

#include "export/torch_export/edited_program.h"
#include "io/pt2_layout.h"
#include "io/zip.h"
#include "io/zip_writer.h"

namespace lathe::exporting {

/// An archive that is edited.
struct SourceArchive {
  io::ZipArchive zip;
  io::Pt2Layout layout;
};

/// DataError unless the archive has every parameter and buffer of the program.
void check_weights(const SourceArchive& source, const ProgramJson& program);

/// Writes the archive's entries with the edited program and its tensors; all else is copied.
/// `progress` is told of the bytes of tensors. Returns how many bytes the weights have.
size_t write_archive(const SourceArchive& source, const EditedProgram& program, io::ZipWriter& zip,
                     const std::function<void(size_t)>& progress);

}  // namespace lathe::exporting
