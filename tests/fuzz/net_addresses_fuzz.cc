// Reads any bytes as an address, a prefix and a socket address; what is read
// must print to a text that reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace {

template <typename T>
void RoundTrip(absl::string_view text) {
  const auto value = T::Parse(text);
  if (value && T::Parse(value->ToString()) != value) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  RoundTrip<k8sdns::IpAddress>(text);
  RoundTrip<k8sdns::IpPrefix>(text);
  RoundTrip<k8sdns::SocketAddress>(text);
  return 0;
}
