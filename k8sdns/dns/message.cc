#include "k8sdns/dns/message.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace k8sdns::dns {
namespace {

struct TypeName {
  RecordType type;
  const char* name;
};

constexpr TypeName kTypeNames[] = {
    {RecordType::kA, "A"},         {RecordType::kNs, "NS"},
    {RecordType::kCname, "CNAME"}, {RecordType::kSoa, "SOA"},
    {RecordType::kPtr, "PTR"},     {RecordType::kHinfo, "HINFO"},
    {RecordType::kMx, "MX"},       {RecordType::kTxt, "TXT"},
    {RecordType::kAaaa, "AAAA"},   {RecordType::kSrv, "SRV"},
    {RecordType::kNaptr, "NAPTR"}, {RecordType::kDs, "DS"},
    {RecordType::kRrsig, "RRSIG"}, {RecordType::kDnskey, "DNSKEY"},
    {RecordType::kSvcb, "SVCB"},   {RecordType::kHttps, "HTTPS"},
    {RecordType::kIxfr, "IXFR"},   {RecordType::kAxfr, "AXFR"},
    {RecordType::kAny, "ANY"},     {RecordType::kCaa, "CAA"},
};

struct Printer {
  std::string operator()(const IpAddress& ip) const { return ip.ToString(); }
  std::string operator()(const NameData& data) const { return data.name; }
  std::string operator()(const SrvData& d) const {
    return absl::StrCat(d.priority, " ", d.weight, " ", d.port, " ", d.target);
  }
  std::string operator()(const SoaData& d) const {
    return absl::StrCat(d.mname, " ", d.rname, " ", d.serial, " ", d.refresh,
                        " ", d.retry, " ", d.expire, " ", d.minimum);
  }
  std::string operator()(const TxtData& d) const {
    std::string text;
    for (const std::string& s : d.strings) {
      absl::StrAppend(&text, text.empty() ? "\"" : " \"");
      for (char c : s) {
        if (c == '"' || c == '\\') text.push_back('\\');
        text.push_back(c);
      }
      text.push_back('"');
    }
    return text;
  }
};

}  // namespace

std::string RecordTypeName(RecordType type) {
  for (const TypeName& t : kTypeNames) {
    if (t.type == type) return t.name;
  }
  return absl::StrCat("TYPE", static_cast<uint16_t>(type));
}

std::optional<RecordType> ParseRecordType(absl::string_view name) {
  for (const TypeName& t : kTypeNames) {
    if (absl::EqualsIgnoreCase(name, t.name)) return t.type;
  }
  uint32_t number = 0;
  if (absl::StartsWithIgnoreCase(name, "TYPE") &&
      absl::SimpleAtoi(name.substr(4), &number) && number <= 0xFFFF) {
    return static_cast<RecordType>(number);
  }
  return std::nullopt;
}

absl::string_view RcodeName(Rcode rcode) {
  switch (rcode) {
    case Rcode::kNoError:
      return "NOERROR";
    case Rcode::kFormErr:
      return "FORMERR";
    case Rcode::kServFail:
      return "SERVFAIL";
    case Rcode::kNxDomain:
      return "NXDOMAIN";
    case Rcode::kNotImp:
      return "NOTIMP";
    case Rcode::kRefused:
      return "REFUSED";
  }
  return "RESERVED";
}

std::string ResourceRecord::DataToString() const {
  return std::visit(Printer{}, data);
}

std::string ResourceRecord::ToString() const {
  return absl::StrCat(owner, " ", ttl, " ", RecordTypeName(type), " ",
                      DataToString());
}

std::string DnsResponse::ToString() const {
  if (outcome == Outcome::kNoReply) return "no reply";
  std::string text(RcodeName(rcode));
  if (authoritative) absl::StrAppend(&text, " aa");
  if (truncated) absl::StrAppend(&text, " tc");
  if (recursion_available) absl::StrAppend(&text, " ra");
  if (edns_udp_size) absl::StrAppend(&text, " edns ", *edns_udp_size);
  const auto section = [&](const char* name,
                           const std::vector<ResourceRecord>& records) {
    for (const ResourceRecord& r : records) {
      absl::StrAppend(&text, "; ", name, r.ToString());
    }
  };
  section("", answer);
  section("authority ", authority);
  section("additional ", additional);
  if (crashes_server) absl::StrAppend(&text, "; the server crashes");
  return text;
}

}  // namespace k8sdns::dns
