#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

enum class Align { kLeft, kRight };

/// Rows of text in aligned columns for a terminal.
class TextTable {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit TextTable(std::vector<Column> columns);

  /// As many cells as there are columns.
  void add_row(std::vector<std::string> cells);
  /// Titles and rows, each line with its end; no trailing spaces.
  std::string text() const;

 private:
  std::string line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lathe::cli
