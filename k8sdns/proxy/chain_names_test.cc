#include "k8sdns/proxy/chain_names.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace k8sdns::proxy {
namespace {

// The names that kube-proxy gave on a Docker EE 2.1 node.
TEST(ChainNames, AreThoseOfARealNode) {
  ChainNamer namer;
  const std::string dns = "kube-system/kube-dns:dns";
  const std::string dns_tcp = "kube-system/kube-dns:dns-tcp";
  EXPECT_EQ(namer.OfPort(dns, Protocol::kUdp).text(), "TCOU7JCQXEZGVUNU");
  EXPECT_EQ(namer.OfPort(dns_tcp, Protocol::kTcp).text(), "ERIFXISQEP7F7OF4");
  EXPECT_EQ(namer.OfEndpoint(dns, Protocol::kUdp, "192.168.237.9:53").text(),
            "VMNICV4GUKMZMBOY");
  EXPECT_EQ(
      namer.OfEndpoint(dns_tcp, Protocol::kTcp, "192.168.237.9:53").text(),
      "SKI5LDIQRRMBYDWW");
}

TEST(ChainNames, AMovedNamerWorksAndLongNamesDoToo) {
  ChainNamer first;
  const ChainHash hash = first.OfPort("a/b", Protocol::kSctp);
  ChainNamer second = std::move(first);
  EXPECT_EQ(second.OfPort("a/b", Protocol::kSctp), hash);
  const std::string half(256, 'x');
  // The pieces are joined before they are hashed.
  EXPECT_EQ(second.OfPort(half + half + "tcp", Protocol::kTcp),
            second.OfEndpoint(half + half, Protocol::kTcp, "tcp"));
}

}  // namespace
}  // namespace k8sdns::proxy
