#include "k8sdns/dns/resolver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "k8sdns/dns/resolver_libraries.h"
#include "k8sdns/dns/resolver_world.h"

namespace k8sdns::dns {
namespace {

struct NamedType {
  uint16_t type;
  absl::string_view name;
};
constexpr std::array<NamedType, 16> kTypes = {{
    {kTypeA, "A"},
    {2, "NS"},
    {kTypeCname, "CNAME"},
    {6, "SOA"},
    {12, "PTR"},
    {13, "HINFO"},
    {15, "MX"},
    {16, "TXT"},
    {kTypeAaaa, "AAAA"},
    {33, "SRV"},
    {35, "NAPTR"},
    {64, "SVCB"},
    {65, "HTTPS"},
    {252, "AXFR"},
    {255, "ANY"},
    {257, "CAA"},
}};

// Packets of a query and its answer over a TCP connection of its own.
constexpr int kTcpPackets = 10;

double HalfSeconds(absl::Duration d) {
  return std::round(absl::ToDoubleSeconds(d) * 2) / 2;
}

}  // namespace

std::string QueryTypeName(uint16_t type) {
  for (const NamedType& t : kTypes) {
    if (t.type == type) return std::string(t.name);
  }
  return absl::StrCat("TYPE", type);
}

std::optional<uint16_t> ParseQueryType(absl::string_view name) {
  for (const NamedType& t : kTypes) {
    if (absl::EqualsIgnoreCase(t.name, name)) return t.type;
  }
  uint32_t number = 0;
  if (!absl::StartsWithIgnoreCase(name, "TYPE") ||
      !absl::SimpleAtoi(name.substr(4), &number) || number > 0xffff) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(number);
}

Answer Answer::Timeout() {
  Answer a;
  a.fate = Fate::kNoReply;
  return a;
}

Answer Answer::Unreachable() {
  Answer a;
  a.fate = Fate::kUnreachable;
  return a;
}

Answer Answer::WithRcode(int rcode) {
  Answer a;
  a.rcode = rcode;
  return a;
}

Answer Answer::Lame() {
  Answer a;
  a.recursion_available = false;
  return a;
}

Answer Answer::Addresses(const Question& question,
                         const std::vector<IpAddress>& addresses,
                         absl::string_view cname) {
  Answer a;
  std::string owner = question.name;
  if (!cname.empty()) {
    a.records.push_back({owner, kTypeCname, {}, std::string(cname), 0});
    owner = std::string(cname);
  }
  for (const IpAddress& address : addresses) {
    if (question.type == (address.is_v4() ? kTypeA : kTypeAaaa)) {
      a.records.push_back({owner, question.type, address, "", 0});
    }
  }
  return a;
}

Answer Answer::Truncated(const Question& question,
                         const std::vector<IpAddress>& addresses) {
  if (question.transport == Transport::kTcp) {
    return Addresses(question, addresses);
  }
  Answer a;
  a.truncated = true;
  return a;
}

std::string SentQuery::ToString() const {
  std::string out =
      absl::StrFormat("%g %s %s/%d ", HalfSeconds(time), server.ToString(),
                      transport == Transport::kUdp ? "udp" : "tcp", socket);
  if (!malformed.empty()) return absl::StrCat(out, "MALFORMED ", malformed);
  absl::StrAppend(&out, QueryTypeName(type), " ", name);
  if (flags.ad) absl::StrAppend(&out, " ad");
  if (flags.edns_size) absl::StrAppend(&out, " edns=", *flags.edns_size);
  return out;
}

int LookupTranscript::PacketCount() const {
  int packets = 0;
  for (const SentQuery& q : queries) {
    packets += q.transport == Transport::kUdp ? 2 : kTcpPackets;
  }
  return packets;
}

std::string LookupTranscript::ToString() const {
  std::string out;
  for (const SentQuery& q : queries) absl::StrAppend(&out, q.ToString(), "\n");
  for (const LookupResult& r : results) {
    absl::StrAppend(&out, "= ", r.rc);
    for (const IpAddress& a : r.addresses) {
      absl::StrAppend(&out, " ", a.ToString());
    }
    if (!r.message.empty()) absl::StrAppend(&out, " (", r.message, ")");
    out += '\n';
  }
  return out;
}

LookupResult ResultWithCode(absl::string_view rc) {
  LookupResult out;
  out.rc = std::string(rc);
  return out;
}

LookupTranscript Resolve(const LookupCall& call, const ResolverHost& host,
                         Library library, const AnswerSource& answers) {
  const ResolverSettings settings =
      host.resolv_conf.ReadAs(library, host.environment);
  ResolverWorld world(answers, host.patience);
  LibraryRun run{call, host, settings, world, {}, false};
  if (library == Library::kGlibc2_36) {
    RunGlibc(run);
  } else if (library == Library::kGo1_22) {
    RunGo(run);
  } else {
    RunMusl(run);
  }
  LookupTranscript out;
  out.elapsed = world.now();
  if (world.out_of_patience()) {
    out.elapsed = world.patience();
    if (!run.results.empty()) run.results.back() = ResultWithCode("hangs");
  }
  out.queries = world.TakeQueries();
  out.results = std::move(run.results);
  out.order_varies = run.order_varies;
  return out;
}

QueryAmplification CountAmplification(absl::string_view name,
                                      absl::string_view absolute_name,
                                      const ResolverHost& host,
                                      Library library) {
  const std::string wanted = absl::StrCat(
      absl::AsciiStrToLower(absl::StripSuffix(absolute_name, ".")), ".");
  const std::vector<IpAddress> both = {*IpAddress::Parse("192.0.2.1"),
                                       *IpAddress::Parse("2001:db8::1")};
  const AnswerSource answers = [&](const Question& q) {
    if (absl::AsciiStrToLower(q.name) != wanted) return Answer::NxDomain();
    return Answer::Addresses(q, both);
  };
  LookupCall call;
  call.name = std::string(name);
  const LookupTranscript actual = Resolve(call, host, library, answers);
  call.name = wanted;
  const LookupTranscript direct = Resolve(call, host, library, answers);
  QueryAmplification out;
  out.queries = static_cast<int>(actual.queries.size());
  out.needed = static_cast<int>(direct.queries.size());
  out.found = !actual.results.empty() && actual.results.back().rc == "OK";
  return out;
}

}  // namespace k8sdns::dns
