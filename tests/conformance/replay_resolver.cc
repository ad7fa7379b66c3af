#include "tests/conformance/replay_resolver.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "k8sdns/dns/resolver.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using ::k8sdns::dns::Answer;
using ::k8sdns::dns::Library;
using ::k8sdns::dns::LookupCall;
using ::k8sdns::dns::LookupFamily;
using ::k8sdns::dns::LookupFunction;
using ::k8sdns::dns::LookupResult;
using ::k8sdns::dns::LookupTranscript;
using ::k8sdns::dns::Question;
using ::k8sdns::dns::ResolverHost;
using ::k8sdns::dns::Transport;

// The host of the recordings: its addresses and where its servers listen.
ResolverHost RecordingHost() {
  ResolverHost host;
  const std::pair<const char*, int> addresses[] = {
      {"10.244.1.5", 24},    {"fd00:10:244::5", 64}, {"10.96.0.10", 32},
      {"10.96.0.11", 32},    {"10.96.0.12", 32},     {"10.96.0.13", 32},
      {"169.254.20.10", 32}, {"fd00:10:96::a", 128}, {"fd00:10:96::b", 128},
      {"fe80::53", 64},
  };
  for (const auto& [text, length] : addresses) {
    host.addresses.push_back({*IpAddress::Parse(text), length});
  }
  host.patience = absl::Seconds(20);
  return host;
}

std::vector<IpAddress> Addresses(const YamlValue& list) {
  std::vector<IpAddress> out;
  for (const YamlValue& item : list.items()) {
    if (const auto a = IpAddress::Parse(item.str())) out.push_back(*a);
  }
  return out;
}

Answer MakeAnswer(const std::string& kind, const YamlValue& rule,
                  const Question& question) {
  if (kind == "nxdomain") return Answer::NxDomain();
  if (kind == "nodata") return Answer::NoData();
  if (kind == "servfail") return Answer::ServFail();
  if (kind == "formerr") return Answer::WithRcode(1);
  if (kind == "notimp") return Answer::WithRcode(4);
  if (kind == "refused") return Answer::WithRcode(5);
  if (kind == "lame") return Answer::Lame();
  if (kind == "timeout") return Answer::Timeout();
  const std::vector<IpAddress> addresses = Addresses(rule["addrs"]);
  if (kind == "truncated") return Answer::Truncated(question, addresses);
  return Answer::Addresses(question, addresses, rule["cname"].str());
}

bool RuleMatches(const YamlValue& rule, const Question& q) {
  if (rule.Has("server") && rule["server"].str() != q.server.ToString()) {
    return false;
  }
  if (rule.Has("name") && !absl::EqualsIgnoreCase(rule["name"].str(), q.name)) {
    return false;
  }
  if (rule.Has("type") && rule["type"].str() != dns::QueryTypeName(q.type)) {
    return false;
  }
  if (rule.Has("proto") &&
      rule["proto"].str() != (q.transport == Transport::kUdp ? "udp" : "tcp")) {
    return false;
  }
  return !rule.Has("nth") || rule["nth"].AsInt(0) == q.nth;
}

Answer AnswerFromTable(const YamlValue& c, const Question& question) {
  for (const YamlValue& rule : c["responses"].items()) {
    if (RuleMatches(rule, question)) {
      return MakeAnswer(rule["answer"].str(), rule, question);
    }
  }
  return MakeAnswer(c["default"].str(), YamlValue(), question);
}

absl::StatusOr<LookupCall> ReadCall(const YamlValue& c) {
  LookupCall call;
  const std::string& fn = c["fn"].str();
  if (fn == "gai") {
    call.function = LookupFunction::kGetaddrinfo;
  } else if (fn == "canon") {
    call.function = LookupFunction::kCanon;
  } else if (fn == "search") {
    call.function = LookupFunction::kResSearch;
  } else if (fn == "query") {
    call.function = LookupFunction::kResQuery;
  } else if (fn == "hbn") {
    call.function = LookupFunction::kGethostbyname;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("unknown fn ", fn));
  }
  if (c["family"].str() == "inet") call.family = LookupFamily::kInet;
  if (c["family"].str() == "inet6") call.family = LookupFamily::kInet6;
  call.type = dns::ParseQueryType(c["type"].str()).value_or(dns::kTypeA);
  call.name = c["name"].str();
  call.repeat = static_cast<int>(c["repeat"].AsInt(1));
  return call;
}

ResolverHost ReadHost(const YamlValue& c) {
  ResolverHost host = RecordingHost();
  if (!c["resolv_conf"].is_null()) {
    host.resolv_conf = dns::ResolvConf(c["resolv_conf"].str());
  }
  if (c.Has("hostname")) host.environment.hostname = c["hostname"].str();
  if (c.Has("hosts")) host.hosts = c["hosts"].str();
  for (const auto& [name, value] : c["env"].entries()) {
    host.environment.variables[name] = value.str();
  }
  return host;
}

YamlValue WriteResult(const LookupResult& r) {
  YamlValue out = YamlValue::Map();
  out.Set("rc", r.rc);
  if (!r.message.empty()) out.Set("msg", r.message);
  if (r.rcode) out.Set("rcode", *r.rcode);
  if (r.answer_count) out.Set("ancount", *r.answer_count);
  if (r.canonical_name) out.Set("canon", *r.canonical_name);
  if (!r.addresses.empty()) {
    YamlValue list = YamlValue::List();
    for (const IpAddress& a : r.addresses) list.Add(a.ToString());
    out.Set("addrs", std::move(list));
  }
  return out;
}

YamlValue WriteCase(const YamlValue& id, const LookupTranscript& t) {
  YamlValue out = YamlValue::Map();
  out.Set("id", id.str());
  YamlValue queries = YamlValue::List();
  for (const dns::SentQuery& q : t.queries) queries.Add(q.ToString());
  out.Set("queries", std::move(queries));
  YamlValue results = YamlValue::List();
  for (const LookupResult& r : t.results) results.Add(WriteResult(r));
  out.Set("result", results.items().size() == 1 ? results.items()[0] : results);
  const double seconds = std::round(absl::ToDoubleSeconds(t.elapsed) * 2) / 2;
  out.Set("elapsed_s", YamlValue::Plain(absl::StrFormat("%.1f", seconds)));
  return out;
}

absl::Status ReplayFile(const ReplayPaths& paths, const std::string& file) {
  // resolver/LIBRARY/VERSION/GROUP.yaml
  const std::vector<std::string> parts = absl::StrSplit(file, '/');
  if (parts.size() != 4) return absl::OkStatus();
  const absl::StatusOr<Library> library =
      dns::ParseLibrary(absl::StrCat(parts[1], "/", parts[2]));
  if (!library.ok()) return library.status();
  const absl::StatusOr<std::string> text =
      ReadFile(absl::StrCat(paths.corpus, "/", file));
  if (!text.ok()) return text.status();
  const absl::StatusOr<YamlValue> document = ParseYaml(*text);
  if (!document.ok()) return document.status();
  YamlValue cases = YamlValue::List();
  for (const YamlValue& c : (*document)["cases"].items()) {
    const absl::StatusOr<LookupCall> call = ReadCall(c["call"]);
    if (!call.ok()) return call.status();
    cases.Add(WriteCase(c["id"], dns::Resolve(*call, ReadHost(c), *library,
                                              [&](const Question& q) {
                                                return AnswerFromTable(c, q);
                                              })));
  }
  YamlValue out = YamlValue::Map();
  out.Set("resolver", absl::StrCat(parts[1], "/", parts[2]));
  out.Set("cases", std::move(cases));
  return WriteFile(absl::StrCat(paths.out, "/", file), out.ToYaml());
}

}  // namespace

absl::Status ReplayResolver(const ReplayPaths& paths) {
  for (const std::string& file :
       FilesBelow(paths.corpus, "resolver", ".yaml")) {
    if (absl::Status s = ReplayFile(paths, file); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace k8sdns::conformance
