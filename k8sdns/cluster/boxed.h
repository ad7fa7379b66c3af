// An optional value on the heap, for fields that most objects do not have: 8
// bytes where there is none. Used like std::optional; a copy copies the value.
#ifndef K8SDNS_CLUSTER_BOXED_H_
#define K8SDNS_CLUSTER_BOXED_H_

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace k8sdns {

template <typename T>
class Boxed {
  template <typename U>
  static constexpr bool kIsValue =
      !std::is_same_v<std::remove_cvref_t<U>, Boxed> &&
      std::is_constructible_v<T, U>;

 public:
  using value_type = T;

  Boxed() = default;
  // NOLINTBEGIN(google-explicit-constructor): as std::optional has them.
  Boxed(std::nullopt_t) {}
  template <typename U = T>
  requires kIsValue<U> Boxed(U&& value)
      : value_(std::make_unique<T>(std::forward<U>(value))) {}
  // NOLINTEND
  Boxed(const Boxed& other)
      : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(const Boxed& other) {
    if (this != &other) value_ = other ? std::make_unique<T>(*other) : nullptr;
    return *this;
  }
  Boxed& operator=(Boxed&&) noexcept = default;
  Boxed& operator=(std::nullopt_t) {
    reset();
    return *this;
  }
  template <typename U = T>
  requires kIsValue<U> Boxed& operator=(U&& value) {
    value_ = std::make_unique<T>(std::forward<U>(value));
    return *this;
  }

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }
  template <typename U>
  T value_or(U&& other) const {
    return has_value() ? *value_ : T(std::forward<U>(other));
  }
  T& emplace() {
    value_ = std::make_unique<T>();
    return *value_;
  }
  void reset() { value_.reset(); }

  friend bool operator==(const Boxed& a, const Boxed& b) {
    return a.has_value() == b.has_value() && (!a || *a == *b);
  }
  friend bool operator==(const Boxed& a, const T& b) { return a && *a == b; }
  friend bool operator==(const Boxed& a, std::nullopt_t) { return !a; }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace k8sdns

#endif  // K8SDNS_CLUSTER_BOXED_H_
