#include "k8sdns/cli/output_file.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OutputFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    name_ = (folder_ / "out.yaml").string();
  }

  static std::string TextOf(const std::string& file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_),
                                             fs::directory_iterator()));
  }

  fs::path folder_;
  std::string name_;
};

TEST_F(OutputFileTest, HasItsNameOnlyWhenItIsWhole) {
  {
    auto file = OutputFile::Create(name_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Write("one\n").ok());
    EXPECT_FALSE(fs::exists(name_));
    ASSERT_TRUE(file->Write("two\n").ok());
    ASSERT_TRUE(file->Commit().ok());
  }
  EXPECT_EQ(TextOf(name_), "one\ntwo\n");
  EXPECT_EQ(FileCount(), 1u);
}

TEST_F(OutputFileTest, WithoutCommitTheOldFileStays) {
  std::ofstream(name_) << "old";
  {
    auto file = OutputFile::Create(name_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Write("new").ok());
  }
  EXPECT_EQ(TextOf(name_), "old");
  EXPECT_EQ(FileCount(), 1u);
}

TEST_F(OutputFileTest, ASignalRemovesWhatIsHalfWritten) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t child = fork();
    if (child == 0) {
      auto file = OutputFile::Create(name_);
      (void)file->Write("half");
      raise(signal);
      (void)file->Write("the other half");  // does not return
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_EQ(FileCount(), 0u) << "signal " << signal;
  }
}

TEST_F(OutputFileTest, AnIgnoredSignalDoesNotStopIt) {
  const auto before = signal(SIGHUP, SIG_IGN);
  auto file = OutputFile::Create(name_);
  ASSERT_TRUE(file.ok()) << file.status();
  raise(SIGHUP);
  EXPECT_TRUE(file->Write("all").ok());
  EXPECT_TRUE(file->Commit().ok());
  EXPECT_EQ(TextOf(name_), "all");
  signal(SIGHUP, before);
}

TEST_F(OutputFileTest, FollowsALink) {
  const std::string behind = (folder_ / "behind.yaml").string();
  std::ofstream(behind) << "old";
  fs::create_symlink(behind, name_);
  auto file = OutputFile::Create(name_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Write("new").ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_TRUE(fs::is_symlink(name_));
  EXPECT_EQ(TextOf(behind), "new");
}

TEST_F(OutputFileTest, RefusesWhatIsNoFile) {
  EXPECT_THAT(OutputFile::Create(folder_.string()).status().message(),
              HasSubstr("found a folder or a device"));
  EXPECT_THAT(OutputFile::Create("/dev/null").status().message(),
              HasSubstr("found a folder or a device"));
  EXPECT_THAT(
      OutputFile::Create((folder_ / "none" / "f").string()).status().message(),
      HasSubstr("cannot create it: No such file or directory"));
}

}  // namespace
}  // namespace k8sdns::cli
