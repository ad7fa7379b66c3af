#include "tests/conformance/replay.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace k8sdns::conformance {

namespace fs = std::filesystem;

std::vector<std::string> CaseFolders(absl::string_view root,
                                     absl::string_view family) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(absl::StrCat(root, "/", family), error)) {
    if (entry.is_directory()) out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> FilesBelow(absl::string_view root,
                                    absl::string_view under,
                                    absl::string_view suffix) {
  std::vector<std::string> out;
  std::error_code error;
  const std::string base(root);
  for (const auto& entry : fs::recursive_directory_iterator(
           absl::StrCat(root, "/", under), error)) {
    if (!entry.is_regular_file()) continue;
    // Not fs::relative(): it would resolve the links of a runfiles tree.
    std::string path = entry.path().lexically_relative(base).string();
    if (absl::EndsWith(path, suffix)) out.push_back(std::move(path));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace k8sdns::conformance
