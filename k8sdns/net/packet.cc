#include "k8sdns/net/packet.h"

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace k8sdns {
namespace {

// Names as Debian's /etc/protocols has them.
constexpr std::array<std::pair<Protocol, absl::string_view>, 10> kNames = {{
    {Protocol::kIcmp, "icmp"},
    {Protocol::kTcp, "tcp"},
    {Protocol::kUdp, "udp"},
    {Protocol::kDccp, "dccp"},
    {Protocol::kGre, "gre"},
    {Protocol::kEsp, "esp"},
    {Protocol::kAh, "ah"},
    {Protocol::kIcmpv6, "ipv6-icmp"},
    {Protocol::kSctp, "sctp"},
    {Protocol::kUdpLite, "udplite"},
}};

Packet Make(Protocol protocol, const SocketAddress& src,
            const SocketAddress& dst) {
  Packet p;
  p.protocol = protocol;
  p.src = src.address;
  p.dst = dst.address;
  p.src_port = src.port;
  p.dst_port = dst.port;
  return p;
}

}  // namespace

absl::string_view KubernetesProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kSctp:
      return "SCTP";
    default:
      return "";
  }
}

std::optional<Protocol> ParseKubernetesProtocol(absl::string_view text) {
  for (Protocol p : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp}) {
    if (text == KubernetesProtocolName(p)) return p;
  }
  return std::nullopt;
}

std::string ProtocolName(Protocol protocol) {
  for (const auto& [p, name] : kNames) {
    if (p == protocol) return std::string(name);
  }
  return absl::StrCat(static_cast<int>(protocol));
}

Packet Packet::Tcp(const SocketAddress& src, const SocketAddress& dst,
                   uint8_t flags) {
  Packet p = Make(Protocol::kTcp, src, dst);
  p.tcp_flags = flags;
  return p;
}

Packet Packet::Udp(const SocketAddress& src, const SocketAddress& dst) {
  return Make(Protocol::kUdp, src, dst);
}

Packet Packet::Sctp(const SocketAddress& src, const SocketAddress& dst) {
  return Make(Protocol::kSctp, src, dst);
}

Packet Packet::IcmpEcho(const IpAddress& src, const IpAddress& dst,
                        uint16_t id) {
  Packet p;
  p.src = src;
  p.dst = dst;
  p.protocol = src.is_v4() ? Protocol::kIcmp : Protocol::kIcmpv6;
  p.icmp_type = src.is_v4() ? 8 : 128;
  p.src_port = id;
  return p;
}

std::string Packet::ToString() const {
  const std::string name = absl::AsciiStrToUpper(ProtocolName(protocol));
  if (HasPorts()) {
    return absl::StrCat(name, " ", SocketAddress{src, src_port}.ToString(),
                        " > ", SocketAddress{dst, dst_port}.ToString());
  }
  std::string out =
      absl::StrCat(name, " ", src.ToString(), " > ", dst.ToString());
  if (IsIcmp()) absl::StrAppend(&out, " type ", icmp_type, " code ", icmp_code);
  return out;
}

}  // namespace k8sdns
