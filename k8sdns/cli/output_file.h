// A file that is there whole or not at all.
//
//   absl::StatusOr<OutputFile> file = OutputFile::Create("cluster.json");
//   while (...) {
//     absl::Status status = file->Write(bytes);   // an error: stop
//   }
//   absl::Status status = file->Commit();
//
// Writes FILE.tmp beside the file and renames it when all is on the disk. If
// the writer ends before Commit(), or an interrupt, a hangup or a request to
// terminate comes while it writes, FILE.tmp is removed and an old FILE stays as
// it was. Private to the room. Not thread-safe.
#ifndef K8SDNS_CLI_OUTPUT_FILE_H_
#define K8SDNS_CLI_OUTPUT_FILE_H_

#include <signal.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace k8sdns::cli {

class OutputFile {
 public:
  // Errors name the file. A symbolic link is followed; what is no plain file
  // (a folder, a device) is refused. From here to the end of the OutputFile
  // SIGINT, SIGHUP and SIGTERM wait, for the calling thread, until the next
  // Write() or Commit(), which then does not return.
  static absl::StatusOr<OutputFile> Create(const std::string& file);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  // Once it failed, the file cannot be committed.
  absl::Status Write(absl::string_view bytes);
  absl::Status Commit();

 private:
  OutputFile(std::string file, int descriptor, const sigset_t& unblocked);

  // Ends the process as the signal that waits does, if one does.
  void HonourSignals();
  void Remove();
  absl::Status Failure(absl::string_view what) const;
  std::string TemporaryName() const { return file_ + ".tmp"; }

  std::string file_;
  int descriptor_ = -1;  // -1: committed, removed or moved from
  bool failed_ = false;
  sigset_t unblocked_;  // the thread's signal mask before
};

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_OUTPUT_FILE_H_
