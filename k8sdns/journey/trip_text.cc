// Trips as a person reads them.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/journey/translations.h"
#include "k8sdns/journey/trip.h"

namespace k8sdns::journey {
namespace {

void AppendRule(const RuleLine& line, std::string& out) {
  absl::StrAppendFormat(&out, "    %-7s%-29s", line.table, line.chain);
  if (line.number > 0) {
    absl::StrAppendFormat(&out, " %3d  ", line.number);
  } else {
    absl::StrAppend(&out, "   -  ");
  }
  absl::StrAppend(&out, line.text);
  if (line.mark != 0) absl::StrAppendFormat(&out, "   [mark 0x%x]", line.mark);
  absl::StrAppend(&out, "\n");
}

void AppendVisit(const NodeVisit& visit, bool reply, std::string& out) {
  absl::StrAppend(&out, "  node ", visit.node,
                  visit.in.empty() ? ", sent by the node itself"
                                   : absl::StrCat(", in by ", visit.in),
                  ": ", visit.entered.ToString(), "\n");
  std::vector<std::string> rest = visit.translations;
  for (const RuleLine& line : visit.rules) {
    AppendRule(line, out);
    for (std::string& t : rest) {
      if (t.empty() || !Rewrites(line, t)) continue;
      absl::StrAppend(&out, "    => ", t, "\n");
      t.clear();
    }
  }
  for (const std::string& t : rest) {
    if (t.empty()) continue;
    absl::StrAppend(&out, "    => ", Translator(visit, t, reply), ": ", t,
                    "\n");
  }
  if (!visit.route.empty()) {
    absl::StrAppend(&out, "    route: ", visit.route, "\n");
  }
  absl::StrAppend(&out, "    ", visit.verdict,
                  visit.out.empty() ? "" : absl::StrCat(", out by ", visit.out),
                  "\n");
}

void AppendLegs(const std::vector<Leg>& legs, bool reply, std::string& out) {
  for (const Leg& leg : legs) {
    if (const auto* visit = std::get_if<NodeVisit>(&leg)) {
      AppendVisit(*visit, reply, out);
    } else {
      absl::StrAppend(&out, "  ", std::get<fabric::Hop>(leg).description, "\n");
    }
  }
}

absl::string_view FateText(Trip::Fate fate) {
  switch (fate) {
    case Trip::Fate::kArrives:
      return "arrives at";
    case Trip::Fate::kDropped:
      return "is dropped:";
    case Trip::Fate::kRejected:
      return "is rejected:";
    case Trip::Fate::kDenied:
      return "is denied:";
    case Trip::Fate::kOutside:
      return "goes outside:";
    case Trip::Fate::kUnknown:
      return "has a fate that is not known:";
  }
  return "";
}

}  // namespace

absl::string_view FateName(Trip::Fate fate) {
  switch (fate) {
    case Trip::Fate::kArrives:
      return "arrives";
    case Trip::Fate::kDropped:
      return "dropped";
    case Trip::Fate::kRejected:
      return "rejected";
    case Trip::Fate::kDenied:
      return "denied";
    case Trip::Fate::kOutside:
      return "outside";
    case Trip::Fate::kUnknown:
      return "unknown";
  }
  return "";
}

std::string Trip::ToString() const {
  std::string out;
  AppendLegs(there, false, out);
  if (policy && (policy->egress.isolated || policy->ingress.isolated)) {
    absl::StrAppend(&out, "  NetworkPolicy: ", policy->egress.ToString(), "; ",
                    policy->ingress.ToString(), "\n");
  }
  absl::StrAppend(&out, "  ", FateText(fate), " ",
                  fate == Fate::kArrives ? receiver : reason);
  if (fate == Fate::kArrives) {
    absl::StrAppend(&out, ": ", received.ToString());
  }
  if (mtu > 0) absl::StrAppend(&out, " (up to ", mtu, " bytes unfragmented)");
  absl::StrAppend(&out, "\n");
  if (back.empty()) return out;
  absl::StrAppend(&out, "  the reply:\n");
  AppendLegs(back, true, out);
  absl::StrAppend(&out,
                  reply_arrives ? "  the reply arrives: "
                                : absl::StrCat("  lost: ", reason, ": "),
                  reply_received.ToString(), "\n");
  return out;
}

}  // namespace k8sdns::journey
