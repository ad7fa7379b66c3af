// Reads any bytes as a resolv.conf, as every library. The settings, written
// as a file, are read by the same library as the same settings.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "k8sdns/dns/resolv_conf.h"

namespace {

using k8sdns::dns::Library;
using k8sdns::dns::ResolvConf;
using k8sdns::dns::ResolverEnvironment;
using k8sdns::dns::ResolverSettings;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ResolvConf file(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  for (Library library : k8sdns::dns::AllLibraries()) {
    const ResolverSettings settings = file.ReadAs(library);
    if (settings.servers.empty() && settings.death.empty()) std::abort();
    if (settings.ndots < 0 || settings.ndots > 15) std::abort();
    for (const auto& ignored : settings.ignored) {
      if (ignored.reason.empty()) std::abort();
    }
    // The same text as a variable of the environment.
    ResolverEnvironment environment;
    environment.variables["RES_OPTIONS"] = std::string(file.text());
    environment.variables["LOCALDOMAIN"] = std::string(file.text());
    ResolvConf().ReadAs(library, environment);
    const ResolverSettings again =
        ResolvConf(settings.ToString()).ReadAs(library);
    if (again.servers.size() != settings.servers.size()) std::abort();
  }
  return 0;
}
