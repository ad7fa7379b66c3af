// How the API's objects lie in C++ values: for each type its fields, with the
// name that the API gives them, the number that the protobuf schema
// (proto/k8sdns/v1/cluster.proto) gives them, and what a value must look like.
// The tables drive the JSON and YAML readers, the writers and the protobuf
// snapshot, so that a field is described once.
//
// A table is constant data, made by the compiler. Fields are in alphabetical
// order, in which kubectl prints them.
#ifndef K8SDNS_CLUSTER_SCHEMA_H_
#define K8SDNS_CLUSTER_SCHEMA_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/boxed.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/object_arena.h"
#include "k8sdns/cluster/object_meta.h"
#include "k8sdns/cluster/service.h"
#include "k8sdns/cluster/shared_text.h"

namespace k8sdns::schema {

enum class Shape : uint8_t {
  kString,      // std::string
  kSharedText,  // SharedText
  kInt32,       // int32_t
  kBool,        // bool
  kEnum,        // an enum class, by name
  kPortOrName,  // PortOrName
  kStringMap,   // StringMap
  kBoolMap,     // absl::btree_map<std::string, bool>
  kObject,      // a struct with its own table
  kList,        // a vector of any other shape
  kOptional,    // std::optional or Boxed of any other shape
};

struct EnumName {
  absl::string_view name;
  int value;  // of the C++ enum
};

struct EnumType {
  absl::Span<const EnumName> names;
  uint8_t size;             // of the C++ enum, in bytes: 1 or 4
  int wire_offset;          // the protobuf number is value + wire_offset
  absl::string_view empty;  // what "" in the API stands for; empty: an error
};

struct Field;

class ObjectType {
 public:
  constexpr ObjectType(absl::string_view type_name,
                       absl::Span<const Field> type_fields);

  absl::string_view name;
  absl::Span<const Field> fields;

  // The field of a protobuf number, also one of a group; nullptr if there is
  // none.
  const Field* FindByNumber(uint32_t number) const {
    return number < kNumbers ? by_number_[number] : nullptr;
  }

 private:
  static constexpr uint32_t kNumbers = 32;

  constexpr void Enter(absl::Span<const Field> entered);

  const Field* by_number_[kNumbers] = {};
};

struct Type {
  Shape shape;
  const EnumType* enumeration = nullptr;  // kEnum
  const ObjectType* object = nullptr;     // kObject
  const Type* element = nullptr;          // kList, kOptional
  // kList.
  void* (*append)(void* list) = nullptr;  // a new last element
  // A list that is complete moves to the arena, if it may lie in one, and else
  // gives much unused memory back.
  void (*settle)(void* list, ObjectArena& arena) = nullptr;
  void (*reserve)(void* list, size_t size) = nullptr;
  // An empty list gets room for `size` elements where it will stay.
  void (*reserve_settled)(void* list, size_t size,
                          ObjectArena& arena) = nullptr;
  size_t (*size)(const void* list) = nullptr;
  uint32_t element_size = 0;  // in bytes, without what it holds on the heap
  const void* (*at)(const void* list, size_t i) = nullptr;
  // kOptional: gives it a value; the value or nullptr.
  void* (*emplace)(void* optional) = nullptr;
  const void* (*value)(const void* optional) = nullptr;
  // Makes it what a new object has.
  void (*reset)(void* value) = nullptr;
};

// What a text or number must be, beyond its type. An empty text is taken for
// "not set", except as an element of a list.
enum class Check : uint8_t {
  kNone,
  kIp,               // an IP address
  kClusterIp,        // an IP address or "None"
  kEndpointAddress,  // an IP address, unless the slice's addressType is FQDN
  kCidr,             // blanks around it are fine, and host bits too
  kCidrs,            // one, or two joined by a comma
  kNodePortAddress,  // a CIDR or "primary"
  kDuration,         // "1h2m3.5s", as Go's time.ParseDuration reads it
  kPort,             // 1 to 65535
  kPortOrZero,       // 0 to 65535
  kNotNegative,
  kMasqueradeBit,  // 0 to 31
};

// A name with its first and its last eight bytes as numbers, in the machine's
// order, so that most names are told apart by one comparison.
class FieldName {
 public:
  constexpr FieldName() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): tables read better.
  constexpr FieldName(const char* text) : text_(text) {
    for (size_t i = 0; i < kWord && i < text_.size(); ++i) {
      head_ |= At(text_[i], i);
      mask_ |= At('\xFF', i);
    }
    if (text_.size() < kWord) return;
    for (size_t i = 0; i < kWord; ++i) {
      tail_ |= At(text_[text_.size() - kWord + i], i);
    }
  }

  // NOLINTNEXTLINE(google-explicit-constructor): is a text for all else.
  constexpr operator absl::string_view() const { return text_; }
  constexpr absl::string_view text() const { return text_; }
  constexpr size_t size() const { return text_.size(); }
  constexpr bool empty() const { return text_.empty(); }

  // Whether the text at `p` begins with the name; 8 and size() bytes of it must
  // be readable.
  bool IsPrefixOf(const char* p) const {
    uint64_t word;
    std::memcpy(&word, p, kWord);
    if ((word & mask_) != head_) return false;
    if (text_.size() <= kWord) return true;
    std::memcpy(&word, p + text_.size() - kWord, kWord);
    return word == tail_ && (text_.size() <= 2 * kWord ||
                             std::memcmp(p + kWord, text_.data() + kWord,
                                         text_.size() - 2 * kWord) == 0);
  }

  friend constexpr bool operator==(const FieldName& a, absl::string_view b) {
    return a.text_ == b;
  }

 private:
  static constexpr size_t kWord = sizeof(uint64_t);

  // The byte as the i-th of a word in memory.
  static constexpr uint64_t At(char byte, size_t i) {
    const size_t shift =
        std::endian::native == std::endian::little ? i : kWord - 1 - i;
    return uint64_t{static_cast<unsigned char>(byte)} << (8 * shift);
  }

  absl::string_view text_;
  uint64_t head_ = 0;
  uint64_t mask_ = 0;
  uint64_t tail_ = 0;
};

struct Field {
  FieldName name;
  uint16_t number;  // in the protobuf message of the object; 0 for a group
  uint32_t offset;
  const Type* type;  // nullptr: a group
  Check check = Check::kNone;
  // Printed even if it has the value of a new object.
  bool always = false;
  // The list's elements are maps with this one key: {"ip": "10.0.0.1"}.
  FieldName wrapped = {};
  // A level of the API that the C++ object does not have: its fields lie in the
  // same object.
  absl::Span<const Field> group = {};

  constexpr Field Checked(Check c) const {
    Field f = *this;
    f.check = c;
    return f;
  }
  constexpr Field Always() const {
    Field f = *this;
    f.always = true;
    return f;
  }
  constexpr Field Wrapped(FieldName key) const {
    Field f = *this;
    f.wrapped = key;
    return f;
  }
};

constexpr ObjectType::ObjectType(absl::string_view type_name,
                                 absl::Span<const Field> type_fields)
    : name(type_name), fields(type_fields) {
  Enter(type_fields);
}

constexpr void ObjectType::Enter(absl::Span<const Field> entered) {
  for (const Field& field : entered) {
    if (!field.group.empty()) {  // GCC folds no address under UBSan
      Enter(field.group);
    } else {
      by_number_[field.number] = &field;  // a larger one does not compile
    }
  }
}

// --- TypeFor<T>::kType -----------------------------------------------------

// Defined for each enum and struct in schema_tables.cc.
template <typename T>
struct EnumFor {
  static const EnumType kType;
};
template <typename T>
struct ObjectFor {
  static const ObjectType kType;
};

template <typename T>
void ResetTo(void* value) {
  *static_cast<T*>(value) = T();
}

template <typename T>
struct TypeFor {
  static constexpr Type Make() {
    Type type{};
    type.reset = &ResetTo<T>;
    if constexpr (std::is_same_v<T, std::string>) {
      type.shape = Shape::kString;
    } else if constexpr (std::is_same_v<T, SharedText>) {
      type.shape = Shape::kSharedText;
    } else if constexpr (std::is_same_v<T, int32_t>) {
      type.shape = Shape::kInt32;
    } else if constexpr (std::is_same_v<T, bool>) {
      type.shape = Shape::kBool;
    } else if constexpr (std::is_same_v<T, PortOrName>) {
      type.shape = Shape::kPortOrName;
    } else if constexpr (std::is_same_v<T, StringMap>) {
      type.shape = Shape::kStringMap;
    } else if constexpr (std::is_same_v<T,
                                        absl::btree_map<std::string, bool>>) {
      type.shape = Shape::kBoolMap;
    } else if constexpr (std::is_enum_v<T>) {
      type.shape = Shape::kEnum;
      type.enumeration = &EnumFor<T>::kType;
    } else {
      type.shape = Shape::kObject;
      type.object = &ObjectFor<T>::kType;
    }
    return type;
  }
  static constexpr Type kType = Make();
};

template <typename List>
inline constexpr bool kMayBeInArena = false;
template <typename T>
inline constexpr bool kMayBeInArena<std::vector<T, ArenaAllocator<T>>> = true;

template <typename List>
struct ListFor {
  using T = typename List::value_type;
  static constexpr Type Make() {
    Type type{};
    type.shape = Shape::kList;
    type.element = &TypeFor<T>::kType;
    type.element_size = sizeof(T);
    type.append = [](void* list) -> void* {
      return &static_cast<List*>(list)->emplace_back();
    };
    type.settle = [](void* list, ObjectArena& arena) {
      auto& l = *static_cast<List*>(list);
      if constexpr (kMayBeInArena<List>) {
        if (ArenaBlock* block = arena.BlockFor(l.size() * sizeof(T))) {
          l = List(std::make_move_iterator(l.begin()),
                   std::make_move_iterator(l.end()),
                   ArenaAllocator<T>(ArenaHold(block)));
          return;
        }
      }
      if (l.capacity() > l.size() + l.size() / 8) l.shrink_to_fit();
    };
    type.reserve = [](void* list, size_t size) {
      static_cast<List*>(list)->reserve(size);
    };
    type.reserve_settled = [](void* list, size_t size, ObjectArena& arena) {
      auto& l = *static_cast<List*>(list);
      if constexpr (kMayBeInArena<List>) {
        l = List(
            ArenaAllocator<T>(ArenaHold(arena.BlockFor(size * sizeof(T)))));
      }
      l.reserve(size);
    };
    type.size = [](const void* list) {
      return static_cast<const List*>(list)->size();
    };
    type.at = [](const void* list, size_t i) -> const void* {
      return &(*static_cast<const List*>(list))[i];
    };
    type.reset = &ResetTo<List>;
    return type;
  }
  static constexpr Type kType = Make();
};

template <typename T, typename A>
struct TypeFor<std::vector<T, A>> : ListFor<std::vector<T, A>> {};
template <typename T, size_t n>
struct TypeFor<absl::InlinedVector<T, n>> : ListFor<absl::InlinedVector<T, n>> {
};

template <typename Optional>
struct OptionalFor {
  static constexpr Type Make() {
    Type type{};
    type.shape = Shape::kOptional;
    type.element = &TypeFor<typename Optional::value_type>::kType;
    type.emplace = [](void* optional) -> void* {
      return &static_cast<Optional*>(optional)->emplace();
    };
    type.value = [](const void* optional) -> const void* {
      const auto& o = *static_cast<const Optional*>(optional);
      return o.has_value() ? &*o : nullptr;
    };
    type.reset = &ResetTo<Optional>;
    return type;
  }
  static constexpr Type kType = Make();
};

template <typename T>
struct TypeFor<std::optional<T>> : OptionalFor<std::optional<T>> {};
template <typename T>
struct TypeFor<Boxed<T>> : OptionalFor<Boxed<T>> {};

// How many elements the last list of a type had. Lists of one type mostly have
// similar lengths: room for as many saves moving the elements.
class ListLengths {
 public:
  void Reserve(const Type& type, void* list) {
    if (const size_t last = Of(type); last > 1) type.reserve(list, last);
  }
  void Note(const Type& type, size_t length) {
    Of(type) = length < kLongest ? length : kLongest;
  }

 private:
  static constexpr size_t kLongest = 256;  // elements

  size_t& Of(const Type& type) {
    for (auto& [of, length] : lengths_) {
      if (of == &type) return length;
    }
    return lengths_.emplace_back(&type, 0).second;
  }

  std::vector<std::pair<const Type*, size_t>> lengths_;
};

// --- Access ----------------------------------------------------------------

inline void* At(void* object, const Field& field) {
  return static_cast<char*>(object) + field.offset;
}
inline const void* At(const void* object, const Field& field) {
  return static_cast<const char*>(object) + field.offset;
}

inline void StoreEnum(const EnumType& type, int value, void* to) {
  if (type.size == 1) {
    *static_cast<unsigned char*>(to) = static_cast<unsigned char>(value);
  } else {
    std::memcpy(to, &value, sizeof(value));
  }
}
inline int LoadEnum(const EnumType& type, const void* from) {
  if (type.size == 1) return *static_cast<const unsigned char*>(from);
  int value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// nullptr if there is none.
const EnumName* FindName(const EnumType& type, absl::string_view name);
const EnumName* FindValue(const EnumType& type, int value);
// "ClusterIP, ExternalName, LoadBalancer or NodePort".
std::string NamesOf(const EnumType& type);

// --- Checks ----------------------------------------------------------------

bool Passes(Check check, absl::string_view text);
bool Passes(Check check, int64_t number);
// "an IP address", "an integer from 1 to 65535".
std::string ExpectedText(Check check);
std::string ExpectedNumber(Check check);

// --- Kinds -----------------------------------------------------------------

struct Kind {
  absl::string_view api_version;
  absl::string_view kind;
  const ObjectType* type;
  bool namespaced;
};

// What each object has beside the fields of its table.
inline constexpr FieldName kApiVersionField = "apiVersion";
inline constexpr FieldName kKindField = "kind";

// The kinds a Cluster holds, in the order of the alternatives of
// WatchEvent::object.
absl::Span<const Kind> ClusterKinds();
template <typename T>
const Kind& KindOf() {
  return ClusterKinds()[decltype(WatchEvent::object)(std::in_place_type<T>)
                            .index()];
}

const ObjectType& KubeProxyConfigType();
const ObjectType& KubeletConfigType();

}  // namespace k8sdns::schema

#endif  // K8SDNS_CLUSTER_SCHEMA_H_
