#include "kernels/simd.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdlib>
#include <string>

#include "lathe/error.h"

namespace lathe::kernels {
namespace {

// The level is chosen once in a process: each case runs in its own.
class SimdDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }

  /// Prints the level, or the error, and exits.
  [[noreturn]] static void start_with(const char* wanted) {
    setenv("LATHE_SIMD", wanted, 1);
    try {
      std::fprintf(stderr, "level %s", std::string(simd_level()).c_str());
    } catch (const UserError& error) {
      std::fputs(error.what(), stderr);
      std::exit(2);
    }
    std::exit(0);
  }
};

TEST_F(SimdDeathTest, TakesTheBestByDefault) {
  const std::string best = hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());
  EXPECT_EXIT(start_with(""), testing::ExitedWithCode(0), "level " + best);
}

TEST_F(SimdDeathTest, TakesTheLevelThatIsAskedFor) {
  const std::string least = hwy::TargetName(hwy::SupportedAndGeneratedTargets().back());
  EXPECT_EXIT(start_with(least.c_str()), testing::ExitedWithCode(0), "level " + least);
}

TEST_F(SimdDeathTest, RefusesUnknownLevels) {
  EXPECT_EXIT(start_with("mmx"), testing::ExitedWithCode(2),
              "LATHE_SIMD must be one of .*found 'mmx'");
}

}  // namespace
}  // namespace lathe::kernels
