// The printing half of ipvsadm_save.h: print_service_entry() of ipvsadm 1.31.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "k8sdns/ipvs/ipvsadm_save.h"

namespace k8sdns::ipvs {
namespace {

template <size_t N>
char* WriteText(const char (&text)[N], char* out) {
  std::memcpy(out, text, N - 1);
  return out + N - 1;
}

// "10.0.0.1:80", "[fd00::1]:80": at most IpAddress::kMaxTextSize + 8 bytes.
char* WriteAddressPort(const IpAddress& address, uint16_t port, char* out) {
  if (address.is_v6()) *out++ = '[';
  out = address.WriteTo(out);
  if (address.is_v6()) *out++ = ']';
  *out++ = ':';
  return std::to_chars(out, out + 5, port).ptr;
}

void AppendAddressPort(const IpAddress& address, uint16_t port,
                       Protocol protocol, const NameService* names,
                       std::string& out) {
  if (names != nullptr) {
    std::optional<std::string> host, service;
    if (names->host_of) host = names->host_of(address);
    if (names->service_of) service = names->service_of(port, protocol);
    const char* open = address.is_v6() ? "[" : "";
    const char* close = address.is_v6() ? "]" : "";
    absl::StrAppend(&out, open, host ? *host : address.ToString(), close, ":",
                    service ? *service : absl::StrCat(port));
    return;
  }
  char buffer[IpAddress::kMaxTextSize + 10];
  char* const end = WriteAddressPort(address, port, buffer);
  out.append(buffer, end - buffer);
}

const char* ServiceOption(Protocol protocol) {
  if (protocol == Protocol::kTcp) return "-t ";
  return protocol == Protocol::kUdp ? "-u " : "--sctp-service ";
}

void AppendSchedulerFlags(const VirtualServer& server, std::string& out) {
  if (server.scheduler_flags == 0) return;
  const bool sh = server.scheduler == Scheduler::kSh;
  const bool mh = server.scheduler == Scheduler::kMh;
  const char* separator = " -b ";
  const auto add = [&](const char* name) {
    absl::StrAppend(&out, separator, name);
    separator = ",";
  };
  if ((server.scheduler_flags & VirtualServer::kFlag1) != 0) {
    add(sh ? "sh-fallback" : mh ? "mh-fallback" : "flag-1");
  }
  if ((server.scheduler_flags & VirtualServer::kFlag2) != 0) {
    add(sh ? "sh-port" : mh ? "mh-port" : "flag-2");
  }
  if ((server.scheduler_flags & VirtualServer::kFlag3) != 0) add("flag-3");
}

void AppendTunnel(const RealServerExtra& extra, std::string& out) {
  static constexpr const char* kTypes[] = {"ipip", "gue", "gre"};
  static constexpr const char* kChecksums[] = {"--tun-nocsum", "--tun-csum",
                                               "--tun-remcsum"};
  absl::StrAppend(&out, " --tun-type ", kTypes[static_cast<int>(extra.tunnel)]);
  if (extra.tunnel == TunnelType::kGue) {
    absl::StrAppend(&out, " --tun-port ", extra.tunnel_port);
  }
  if (extra.tunnel != TunnelType::kIpip) {
    absl::StrAppend(&out, " ", kChecksums[extra.tunnel_checksum]);
  }
}

// " -m -w 1": at most 18 bytes.
char* WriteForwarding(const RealServer& server, char* out) {
  static constexpr char kForwarding[][8] = {" -m -w ", " -g -w ", " -i -w "};
  out = WriteText(kForwarding[static_cast<int>(server.forwarding)], out);
  return std::to_chars(out, out + 11, server.weight).ptr;
}

// Nothing follows the weight.
bool IsPlain(const RealServer& server) {
  return server.forwarding != Forwarding::kTunnel && server.extra == nullptr;
}

void AppendRealServer(absl::string_view start, Protocol protocol,
                      const RealServer& server, std::string& out,
                      const NameService* names) {
  out.append(start.data(), start.size());
  out.append(" -r ");
  AppendAddressPort(server.address, server.port, protocol, names, out);
  char buffer[20];
  out.append(buffer, WriteForwarding(server, buffer) - buffer);
  // `ipvsadm -S` never prints thresholds.
  if (server.forwarding == Forwarding::kTunnel) {
    AppendTunnel(server.extra == nullptr ? RealServerExtra() : *server.extra,
                 out);
  }
  if (server.extra != nullptr && !server.extra->unknown_options.empty()) {
    absl::StrAppend(&out, " ", server.extra->unknown_options);
  }
  out.push_back('\n');
}

// The same for many: there are a hundred thousand, and most are plain.
void AppendRealServers(absl::string_view start, Protocol protocol,
                       const std::vector<RealServer>& servers, std::string& out,
                       const NameService* names) {
  constexpr size_t kMaxRest = IpAddress::kMaxTextSize + 40;
  char lines[2048];
  const bool fits = start.size() + kMaxRest <= sizeof lines;
  char* p = lines;
  const auto flush = [&] {
    out.append(lines, p - lines);
    p = lines;
  };
  for (const RealServer& server : servers) {
    if (names != nullptr || !fits || !IsPlain(server)) {
      flush();
      AppendRealServer(start, protocol, server, out, names);
      continue;
    }
    if (static_cast<size_t>(lines + sizeof lines - p) <
        start.size() + kMaxRest) {
      flush();
    }
    std::memcpy(p, start.data(), start.size());
    p = WriteText(" -r ", p + start.size());
    p = WriteAddressPort(server.address, server.port, p);
    p = WriteForwarding(server, p);
    *p++ = '\n';
  }
  flush();
}

}  // namespace

void AppendService(const ServiceKey& key, std::string& out,
                   const NameService* names) {
  if (key.fwmark != 0) {
    absl::StrAppend(&out, "-f ", key.fwmark,
                    key.family == IpFamily::kIpv6 ? " -6" : "");
    return;
  }
  out.append(ServiceOption(key.protocol));
  AppendAddressPort(key.address, key.port, key.protocol, names, out);
}

void AppendVirtualServer(char command, const VirtualServer& server,
                         std::string& out, const NameService* names) {
  out.push_back('-');
  out.push_back(command);
  out.push_back(' ');
  AppendService(server.key, out, names);
  absl::StrAppend(&out, " -s ", server.scheduler_name());
  if (server.persistent) {
    absl::StrAppend(&out, " -p ", server.persistence_seconds);
    if (server.key.family == IpFamily::kIpv4) {
      if (server.netmask != 0xffffffff) {
        absl::StrAppend(&out, " -M ", IpAddress::V4(server.netmask).ToString());
      }
    } else if (server.persistence_prefix != 128) {
      absl::StrAppend(&out, " -M ", server.persistence_prefix);
    }
  }
  if (!server.persistence_engine.empty()) {
    absl::StrAppend(&out, " --pe ", server.persistence_engine);
  }
  if (server.one_packet) out.append(" -o");
  AppendSchedulerFlags(server, out);
  if (!server.unknown_options.empty()) {
    absl::StrAppend(&out, " ", server.unknown_options);
  }
  out.push_back('\n');
}

void AppendRealServer(char command, const ServiceKey& service,
                      const RealServer& server, std::string& out,
                      const NameService* names) {
  std::string start = {'-', command, ' '};
  AppendService(service, start, names);
  AppendRealServer(start, service.protocol, server, out, names);
}

void AppendWithRealServers(const VirtualServer& server, bool sorted,
                           std::string& out, const NameService* names) {
  AppendVirtualServer('A', server, out, names);
  if (server.real_servers.empty()) return;
  std::string start = "-a ";
  AppendService(server.key, start, names);
  const auto less = [](const RealServer& a, const RealServer& b) {
    return IpvsadmLess(a, b);
  };
  if (!sorted || std::is_sorted(server.real_servers.begin(),
                                server.real_servers.end(), less)) {
    AppendRealServers(start, server.key.protocol, server.real_servers, out,
                      names);
    return;
  }
  std::vector<RealServer> reals = server.real_servers;
  std::sort(reals.begin(), reals.end(), less);
  AppendRealServers(start, server.key.protocol, reals, out, names);
}

std::string PrintIpvsadm(const Table& table,
                         const IpvsadmPrintOptions& options) {
  std::string out;
  for (const VirtualServer* server : table.List(options.sorted)) {
    AppendWithRealServers(*server, options.sorted, out, options.names);
  }
  return out;
}

}  // namespace k8sdns::ipvs
