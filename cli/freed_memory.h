#pragma once

namespace lathe::cli {

/// Large pieces go back to the system when they are freed: for planning, which makes large tables
/// among hundreds of thousands of small values.
void return_freed_memory();

/// They are kept for the next use: operators allocate and free megabytes each, and taken from the
/// system anew, every page of them would be cleared again.
void keep_freed_memory();

}  // namespace lathe::cli
