// interrupted_export OUT STEPS: resumes the export of export_tiny and dies after STEPS steps,
// without any clean-up. Exit code 9 if it died, 0 if it came to its end.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "unit/export/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto plan = lathe::testing::tiny_plan();
    const auto model = lathe::testing::tiny_model();
    lathe::exporting::CheckpointExporter exporter(plan, argv[1],
                                                  lathe::exporting::ExportMode::kResume, false);
    const bool ended = lathe::testing::run_export(
        exporter, model, lathe::testing::mixed_scheme(model), std::atoi(argv[2]));
    ::_exit(ended ? 0 : 9);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
