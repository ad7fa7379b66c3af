// Resolves any name with any resolv.conf as every library. The first three
// bytes choose the call and what the servers answer; a line with the name
// follows, the rest is the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "k8sdns/dns/resolver.h"

namespace {

using k8sdns::dns::Answer;
using k8sdns::dns::Library;
using k8sdns::dns::LookupCall;
using k8sdns::dns::LookupTranscript;
using k8sdns::dns::Question;
using k8sdns::dns::ResolverHost;

Answer Choose(uint8_t how, const Question& question) {
  const std::vector<k8sdns::IpAddress> addresses = {
      *k8sdns::IpAddress::Parse("10.0.0.1"),
      *k8sdns::IpAddress::Parse("fd00::1")};
  switch (how % 8) {
    case 0:
      return Answer::Addresses(question, addresses);
    case 1:
      return Answer::Addresses(question, addresses, "a.test.");
    case 2:
      return Answer::Truncated(question, addresses);
    case 3:
      return Answer::Timeout();
    case 4:
      return Answer::Unreachable();
    case 5:
      return Answer::Lame();
    default:
      return Answer::WithRcode(how / 8 % 6);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  absl::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);
  const size_t end = text.find('\n');
  LookupCall call;
  call.function = static_cast<k8sdns::dns::LookupFunction>(data[0] % 5);
  call.family = static_cast<k8sdns::dns::LookupFamily>(data[0] / 5 % 3);
  call.type = data[0];
  call.name = std::string(text.substr(0, end));
  ResolverHost host;
  host.patience = absl::Seconds(100);
  if (end != absl::string_view::npos) {
    host.resolv_conf = k8sdns::dns::ResolvConf(text.substr(end + 1));
  }
  const auto answers = [&](const Question& question) {
    return Choose(data[1 + question.name.size() % 2], question);
  };
  for (Library library : k8sdns::dns::AllLibraries()) {
    const LookupTranscript t =
        k8sdns::dns::Resolve(call, host, library, answers);
    if (t.results.empty() || t.results.back().rc.empty()) std::abort();
    // What a library makes of the file reads back as itself.
    const auto settings = host.resolv_conf.ReadAs(library, host.environment);
    const auto again = k8sdns::dns::ResolvConf(settings.ToString())
                           .ReadAs(library, host.environment);
    if (settings.servers.size() != again.servers.size()) std::abort();
  }
  return 0;
}
