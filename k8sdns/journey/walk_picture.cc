#include "k8sdns/journey/walk_picture.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "k8sdns/journey/translations.h"

namespace k8sdns::journey {
namespace {

using diagram::Box;
using diagram::Diagram;
using diagram::Style;
using fabric::Hop;

// One box of a trip, and the links that lead to it.
struct Step {
  std::string lane;
  Box box;
  std::string links;
  bool reply = false;
};

std::string LinkName(const Hop& hop) {
  switch (hop.kind) {
    case Hop::Kind::kVeth:
      return "veth";
    case Hop::Kind::kBridge:
      return "bridge";
    case Hop::Kind::kTunnel:
      return hop.interface;
    case Hop::Kind::kWire:
      return "wire";
    case Hop::Kind::kRouter:
      return "router";
    case Hop::Kind::kRouting:
    case Hop::Kind::kHost:
      return "";
  }
  return "";
}

std::string NodeLane(absl::string_view node) {
  return absl::StrCat("node ", node);
}

// The boxes of a trip in order.
class Steps {
 public:
  Steps(const Trip& trip, absl::string_view sender) {
    Add(std::string(sender),
        {0, "sends", {trip.sent.ToString()}, Style::kStart});
    Walk(trip.there);
    if (trip.fate == Trip::Fate::kArrives) {
      Add(trip.receiver,
          {0, "arrives", {trip.received.ToString()}, Style::kGood});
    } else {
      const bool bad = trip.fate != Trip::Fate::kOutside;
      Add(steps_.back().lane, {0,
                               std::string(FateName(trip.fate)),
                               {trip.reason},
                               bad ? Style::kBad : Style::kQuiet});
    }
    if (trip.back.empty()) return;
    reply_ = true;
    Walk(trip.back);
    Add(std::string(sender),
        {0,
         trip.reply_arrives ? "the reply arrives" : "the reply is lost",
         {trip.reply_arrives ? trip.reply_received.ToString() : trip.reason},
         trip.reply_arrives ? Style::kGood : Style::kBad});
  }

  std::vector<Step> Take() { return std::move(steps_); }

 private:
  void Add(std::string lane, Box box) {
    steps_.push_back({std::move(lane), std::move(box), links_, reply_});
    links_.clear();
  }

  void Walk(const std::vector<Leg>& legs) {
    for (const Leg& leg : legs) {
      if (const auto* visit = std::get_if<NodeVisit>(&leg)) {
        Visit(*visit);
        continue;
      }
      const std::string name = LinkName(std::get<Hop>(leg));
      if (name.empty()) continue;
      absl::StrAppend(&links_, links_.empty() ? "" : ", ", name);
    }
  }

  // Ends of chains and policies that accept are left to the text.
  void Visit(const NodeVisit& visit) {
    const std::string lane = NodeLane(visit.node);
    std::vector<std::string> rest = visit.translations;
    size_t chains = 0;
    std::string chain;  // of the last box
    for (const RuleLine& line : visit.rules) {
      if (line.number == 0 && line.text != "policy DROP") continue;
      const std::string title = absl::StrCat(line.table, " ", line.chain);
      if (title != chain) {
        Add(lane, {0, title, {}});
        chain = title;
        ++chains;
      }
      absl::string_view text = line.text;
      absl::ConsumePrefix(&text, absl::StrCat("-A ", line.chain, " "));
      steps_.back().box.lines.emplace_back(text);
      for (std::string& t : rest) {
        if (t.empty() || !Rewrites(line, t)) continue;
        Add(lane, {0, std::exchange(t, ""), {}, Style::kChange});
        chain.clear();
      }
    }
    for (const std::string& t : rest) {
      if (t.empty()) continue;
      ++chains;
      Add(lane,
          {0, t, {std::string(Translator(visit, t, reply_))}, Style::kChange});
    }
    if (!visit.route.empty()) {
      Add(lane, {0, "route", {visit.route}, Style::kQuiet});
    } else if (chains == 0) {
      Add(lane, {0, "no rule matches", {}, Style::kQuiet});
    }
  }

  std::vector<Step> steps_;
  std::string links_;
  bool reply_ = false;
};

// Adds trips to a diagram; what they share at their beginning is shared.
class Drawing {
 public:
  explicit Drawing(Diagram& diagram) : diagram_(diagram) {
    for (size_t i = 0; i < diagram.lanes.size(); ++i) {
      lanes_[diagram.lanes[i]] = i;
    }
  }

  // Forgets what may be shared: the next trip is of another packet.
  void Begin() { known_.clear(); }

  void Add(const std::vector<Step>& steps, const std::string& label) {
    size_t at = kNone;
    bool branched = false;
    for (const Step& step : steps) {
      Box box = step.box;
      box.lane = Lane(step.lane);
      const auto key = std::tuple(at, box.lane, box.title, box.lines);
      const auto [it, added] = known_.try_emplace(key, 0);
      if (added) {
        it->second = diagram_.Add(std::move(box));
        if (at != kNone) {
          std::string text = step.links;
          if (!label.empty() && !branched) {
            absl::StrAppend(&text, text.empty() ? "" : ", ", label);
          }
          branched = true;
          diagram_.Connect(at, it->second, std::move(text), step.reply);
        }
      }
      at = it->second;
    }
  }

 private:
  static constexpr size_t kNone = ~size_t{0};

  size_t Lane(const std::string& name) {
    const auto [it, added] = lanes_.try_emplace(name, diagram_.lanes.size());
    if (added) diagram_.lanes.push_back(name);
    return it->second;
  }

  Diagram& diagram_;
  std::map<std::string, size_t> lanes_;
  // Box by the one before it and what it says.
  std::map<std::tuple<size_t, size_t, std::string, std::vector<std::string>>,
           size_t>
      known_;
};

void AddTrips(std::span<const Trip> trips, absl::string_view sender,
              const PictureOptions& options, Diagram& diagram) {
  std::vector<const Trip*> order;
  for (const Trip& trip : trips) order.push_back(&trip);
  std::stable_sort(order.begin(), order.end(),
                   [](const Trip* a, const Trip* b) {
                     return a->probability > b->probability;
                   });
  const size_t shown = std::min(order.size(), options.max_trips);
  Drawing drawing(diagram);
  for (size_t i = 0; i < shown; ++i) {
    drawing.Add(Steps(*order[i], sender).Take(),
                order.size() == 1
                    ? ""
                    : absl::StrFormat("%.4g%%", order[i]->probability * 100));
  }
  if (shown == order.size()) return;
  double rest = 0;
  for (size_t i = shown; i < order.size(); ++i) rest += order[i]->probability;
  Box box;
  box.title = absl::StrFormat("%d other ways, %.4g%%", order.size() - shown,
                              rest * 100);
  box.style = Style::kQuiet;
  diagram.Add(std::move(box));
}

std::string SenderOf(const Walk& walk) {
  return walk.pod.empty() ? walk.sender : absl::StrCat("Pod ", walk.pod);
}

Box LookupBox(const Walk& walk) {
  Box box;
  box.title = absl::StrCat("looks up ", walk.name);
  box.style = Style::kStart;
  const std::string text = walk.lookup.ToString();
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    box.lines.emplace_back(line);
  }
  return box;
}

}  // namespace

Diagram DiagramOf(absl::string_view title, absl::string_view sender,
                  std::span<const Trip> trips, const PictureOptions& options) {
  Diagram diagram;
  diagram.title = std::string(title);
  AddTrips(trips, sender, options, diagram);
  return diagram;
}

Diagram DiagramOf(const Walk& walk, const PictureOptions& options) {
  Diagram diagram;
  const std::string sender = SenderOf(walk);
  diagram.title = absl::StrCat("From ", sender, " to ", walk.name);
  diagram.lanes = {sender};
  if (!walk.pod.empty()) diagram.Add(LookupBox(walk));
  for (const std::vector<Trip>* trips :
       {&walk.query_trips, &walk.connection_trips}) {
    if (trips->empty()) continue;
    const size_t before = diagram.boxes.size();
    AddTrips(*trips, sender, options, diagram);
    if (before > 0) diagram.Connect(before - 1, before);
  }
  return diagram;
}

std::string WalkToHtml(const Walk& walk, const PictureOptions& options) {
  const std::string sender = SenderOf(walk);
  std::vector<Diagram> diagrams;
  std::vector<std::string> texts;
  if (!walk.pod.empty()) {
    Diagram lookup;
    lookup.title = "The file and the queries";
    lookup.lanes = {sender};
    lookup.Add(LookupBox(walk));
    diagrams.push_back(std::move(lookup));
    texts.push_back("");
  }
  const auto add = [&](absl::string_view title, const Packet& packet,
                       const std::vector<Trip>& trips) {
    if (trips.empty()) return;
    diagrams.push_back(DiagramOf(absl::StrCat(title, ": ", packet.ToString()),
                                 sender, trips, options));
    std::string text;
    for (const Trip& t : trips) {
      absl::StrAppendFormat(&text, "with probability %.4g:\n%s\n",
                            t.probability, t.ToString());
    }
    texts.push_back(std::move(text));
  };
  add("The way of the first query", walk.query, walk.query_trips);
  add(absl::StrCat("The way to ", walk.name), walk.connection,
      walk.connection_trips);
  return diagram::ToHtml(absl::StrCat("From ", sender, " to ", walk.name),
                         diagrams, texts);
}

}  // namespace k8sdns::journey
