#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/session_options.h"
#include "lathe/job.h"

namespace lathe::cli {

/// What `lathe quantize` and `lathe plan` are told.
struct JobOptions {
  QuantizeJob job;
  bool json = false;
  std::string report;  // an HTML file, or ""
  SessionOptions session;
};

void add_job_options(CLI::App& command, JobOptions& options);

/// UserError for combinations of options that make no job.
void check_job_options(const JobOptions& options);

/// Each as a line on standard error: "warning: ...".
void print_warnings(const std::vector<std::string>& warnings);

}  // namespace lathe::cli
