#include "k8sdns/cli/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace k8sdns::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kEndingSignals[] = {SIGINT, SIGHUP, SIGTERM};

sigset_t EndingSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : kEndingSignals) sigaddset(&set, signal);
  return set;
}

absl::Status ErrorOf(absl::string_view file, absl::string_view what,
                     int error) {
  return absl::UnavailableError(
      absl::StrCat(file, ": ", what, ": ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& file) {
  std::error_code error;
  // rename() would replace a link, not the file behind it.
  const fs::path target = fs::weakly_canonical(file, error);
  if (error) return ErrorOf(file, "cannot find it", error.value());
  const fs::file_status status = fs::status(target, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file,
                     ": found a folder or a device, expected a file or "
                     "a new name"));
  }
  const sigset_t ending = EndingSignals();
  sigset_t unblocked;
  pthread_sigmask(SIG_BLOCK, &ending, &unblocked);
  const int descriptor =
      open((target.string() + ".tmp").c_str(),
           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) {
    const int cause = errno;
    pthread_sigmask(SIG_SETMASK, &unblocked, nullptr);
    return ErrorOf(file + ".tmp", "cannot create it", cause);
  }
  return OutputFile(target.string(), descriptor, unblocked);
}

OutputFile::OutputFile(std::string file, int descriptor,
                       const sigset_t& unblocked)
    : file_(std::move(file)), descriptor_(descriptor), unblocked_(unblocked) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : file_(std::move(other.file_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      failed_(other.failed_),
      unblocked_(other.unblocked_) {}

OutputFile::~OutputFile() { Remove(); }

absl::Status OutputFile::Write(absl::string_view bytes) {
  HonourSignals();
  while (!bytes.empty() && !failed_) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      failed_ = true;
      return Failure("cannot write it");
    }
  }
  if (failed_)
    return absl::FailedPreconditionError(file_ + ": given up before");
  return absl::OkStatus();
}

absl::Status OutputFile::Commit() {
  if (failed_)
    return absl::FailedPreconditionError(file_ + ": given up before");
  HonourSignals();
  if (fsync(descriptor_) != 0) return Failure("cannot write it");
  HonourSignals();
  if (rename(TemporaryName().c_str(), file_.c_str()) != 0) {
    return Failure("cannot give it its name");
  }
  close(std::exchange(descriptor_, -1));
  // The name is on the disk only with the folder; not all file systems can.
  const fs::path folder = fs::path(file_).parent_path();
  const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened >= 0) {
    (void)fsync(opened);
    close(opened);
  }
  pthread_sigmask(SIG_SETMASK, &unblocked_, nullptr);
  return absl::OkStatus();
}

void OutputFile::HonourSignals() {
  sigset_t waiting;
  sigpending(&waiting);
  for (int signal : kEndingSignals) {
    if (sigismember(&waiting, signal) != 1 ||
        sigismember(&unblocked_, signal) == 1) {
      continue;
    }
    struct sigaction action;
    sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;  // as under nohup(1)
    Remove();                                    // lets the signal in
    return;
  }
}

void OutputFile::Remove() {
  if (descriptor_ < 0) return;
  close(std::exchange(descriptor_, -1));
  unlink(TemporaryName().c_str());
  failed_ = true;
  pthread_sigmask(SIG_SETMASK, &unblocked_, nullptr);
}

absl::Status OutputFile::Failure(absl::string_view what) const {
  return ErrorOf(file_, what, errno);
}

}  // namespace k8sdns::cli
