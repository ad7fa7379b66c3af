// Runs a fuzz target without libFuzzer, so that every build and sanitizer
// covers it: each file of the seed corpus as it is, then a fixed number of
// seeded mutations of them. For real fuzzing build with --config=fuzz.
//
//   target [--mutations=N] [--seed=S] [FILE or FOLDER]...
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestMutant = 1 << 16;

void RunOne(const std::string& input) {
  // A copy of exactly this size, so that a sanitizer sees reads beyond it.
  std::vector<uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::string Mutate(const std::vector<std::string>& corpus,
                   std::mt19937_64& bits) {
  std::string s = corpus[bits() % corpus.size()];
  if (s.size() > kLongestMutant) s.resize(kLongestMutant);
  for (uint64_t i = 0, n = 1 + bits() % 8; i < n; ++i) {
    const size_t at = s.empty() ? 0 : bits() % s.size();
    const size_t length = bits() % 16;
    switch (bits() % 6) {
      case 0:
        if (!s.empty()) s[at] = static_cast<char>(bits());
        break;
      case 1:
        s.erase(at, length);
        break;
      case 2:
        s.insert(at, length, static_cast<char>(bits()));
        break;
      case 3: {  // a piece of another input
        const std::string& other = corpus[bits() % corpus.size()];
        if (other.empty()) break;
        s.insert(at, other.substr(bits() % other.size(), bits() % 64));
        break;
      }
      case 4:
        s.insert(at, s.substr(at, length));
        break;
      case 5:
        s.resize(at);
        break;
    }
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t mutations = 2000;
  uint64_t seed = 1;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--mutations=", 12) == 0) {
      mutations = std::strtoull(argv[i] + 12, nullptr, 10);
    } else if (std::strncmp(argv[i], "--seed=", 7) == 0) {
      seed = std::strtoull(argv[i] + 7, nullptr, 10);
    } else if (fs::is_directory(argv[i])) {
      for (const auto& entry : fs::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) files.push_back(entry.path().string());
      }
    } else {
      files.emplace_back(argv[i]);
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus = {""};
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      std::fprintf(stderr, "%s: cannot be opened\n", file.c_str());
      return 1;
    }
    corpus.emplace_back(std::istreambuf_iterator<char>(in),
                        std::istreambuf_iterator<char>());
  }
  if (corpus.size() < 2) {
    std::fprintf(stderr, "no seed corpus\n");
    return 1;
  }
  for (const std::string& input : corpus) RunOne(input);
  std::mt19937_64 bits(seed);
  for (uint64_t i = 0; i < mutations; ++i) RunOne(Mutate(corpus, bits));
  std::printf("%zu inputs and %llu mutations: no crash\n", corpus.size(),
              static_cast<unsigned long long>(mutations));
  return 0;
}
