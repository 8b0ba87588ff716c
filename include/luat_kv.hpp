/// \file
/// luat_kv for C++17 and later: handles that free themselves, strings as arguments and results, errors as exceptions.
/// A header-only wrapper of the C library of `luat_kv.h`. Link that with `-lluat_kv`.
///
///     #include <luat_kv.hpp>
///     using namespace std::chrono_literals;
///
///     auto store = luat_kv::store::open("kv.db");
///     auto users = store.open_namespace("users");
///     users.put("user:1", "Alice", {.expiration_ttl = 24h});      // C++17: fill a luat_kv::put_options in
///     if (auto name = users.get("user:1"))
///         std::cout << *name << '\n';
///     for (const auto& entry : users.each({.prefix = "user:"}))
///         std::cout << entry.key() << '\n';
///
/// Rules for the whole interface. Everything else is described at the C function in `luat_kv.h`:
///
/// - **Text and bytes.** Keys and names are UTF-8 and not empty; values are any bytes, of any length from 0. Both are a
///   std::string or std::string_view, which may contain NULs. Arguments are only used during the call. Options own
///   their text, so they may be filled from temporaries.
/// - **Errors** are thrown as luat_kv::error or std::bad_alloc. After an error the data is as before the call, and the
///   store can still be used. A missing key, or a condition that did not hold, is not an error: the result is an empty
///   std::optional or `false`.
/// - **Ownership.** A store, namespace, entry, page, batch, watch or changes is a handle that can be moved but not
///   copied, and frees itself. Handles may be destroyed in any order: each keeps alive what it needs, and the file is
///   closed with the last of them. Using a handle that was closed or moved from throws errc::invalid. Views
///   (entry_view, change_view, and every std::string_view that is returned) are valid as long as their entry, page or
///   changes.
/// - **Threads.** Any thread may use a store or namespace at any time, but closing or moving a handle must not overlap
///   with another use of it. An entry, page, range, batch or watch may be used by one thread at a time.
/// - **Times** are Unix time in seconds, as a luat_kv::time_point; lifetimes are std::chrono::seconds. A lifetime or a
///   limit of zero is an error, and does not mean "none": leave it out instead.
/// - **Const.** A method that only reads is const.

#ifndef LUAT_KV_HPP
#define LUAT_KV_HPP

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "luat_kv.hpp needs C++17 or later (-std=c++17)"
#endif
#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#error "luat_kv.hpp reports errors as exceptions: compile with them, or use luat_kv.h"
#endif

#include <luat_kv.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Contains all declarations of this header.
namespace luat_kv {

/// A Unix time, such as `std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now())`.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

/// An argument that is text or bytes: anything that converts to a std::string_view, except NULL, and 0 or `false`,
/// which C++ converts to NULL.
class text : public std::string_view {
public:
    /// From a std::string_view, a std::string, a literal, ...
    template <class T, class = std::enable_if_t<std::is_convertible_v<const T&, std::string_view> &&
                                                !std::is_same_v<T, std::nullptr_t>>>
    text(const T& from) noexcept : std::string_view(from) {}
};

// ---- Errors

/// The kind of an error. A newer library may return a number that is not listed here.
enum class errc : luat_kv_status {
    invalid = LUAT_KV_INVALID,    ///< The request itself is wrong: it would fail again.
    io = LUAT_KV_IO,              ///< The operating system returned an error: no such folder, no permission, disk full.
    busy = LUAT_KV_BUSY,          ///< Another process or connection wrote for longer than the busy timeout. Try again.
    corrupt = LUAT_KV_CORRUPT,    ///< The file is not a database, is damaged, or is not a key-value store's.
    readonly = LUAT_KV_READONLY,  ///< A write to a read-only store or file.
    limit = LUAT_KV_LIMIT,        ///< Something is longer, or a lifetime shorter, than the store's limits allow.
    nomem = LUAT_KV_NOMEM,        ///< Memory ran out in the library.
    panic = LUAT_KV_PANIC,        ///< A bug in the library was caught. The store can still be used. Please report it.
    internal = LUAT_KV_INTERNAL   ///< SQLite, or a PostgreSQL server, returned an unexpected result.
};

/// The exception of this interface. what() is one line of UTF-8, such as "luat_kv: BUSY: …".
class error : public std::runtime_error {
public:
    /// An error with a code and a message, which follows the code in what(). `os_error` is the number of the system's
    /// error, or 0.
    error(errc code, const std::string& message, int os_error = 0)
        : std::runtime_error(std::string("luat_kv: ") + name(code) + ": " + message), code_(code), os_error_(os_error) {}

    /// The code, for programs.
    errc code() const noexcept { return code_; }

    /// The code's name, such as "BUSY": static text.
    const char* name() const noexcept { return name(code_); }

    /// The number of the system's error, such as ENOSPC, for a std::error_code of std::system_category(). 0 if no
    /// system call failed.
    int os_error() const noexcept { return os_error_; }

private:
    static const char* name(errc code) noexcept { return luat_kv_status_str(static_cast<luat_kv_status>(code)); }

    errc code_;
    int os_error_;
};

// ---- Options: plain structs, for designated initializers or for assignment. All fields have defaults.

/// The limits of a store.
enum class limits : std::uint32_t {
    standard = LUAT_KV_LIMITS_DEFAULT,     ///< Keys of 4 KiB, values of 512 MiB, metadata of 64 KiB, pages of 10 000.
    cloudflare = LUAT_KV_LIMITS_CLOUDFLARE ///< Those of Cloudflare Workers KV, for an app that must later run there.
};

/// Which writes survive a power failure. The end of the process alone loses no completed write.
enum class durability : std::uint32_t {
    normal = LUAT_KV_DURABILITY_NORMAL, ///< All but the last ones.
    full = LUAT_KV_DURABILITY_FULL      ///< All completed writes, at the cost of an fsync for each.
};

/// The format of an export.
enum class format : std::uint32_t {
    json = LUAT_KV_FORMAT_JSON,            ///< One JSON array, as for Wrangler's `kv bulk put`.
    json_lines = LUAT_KV_FORMAT_JSON_LINES ///< The same objects, one per line.
};

/// What an import does with existing keys.
enum class existing : std::uint32_t {
    keep = 0,                        ///< Skip them.
    replace = LUAT_KV_IMPORT_REPLACE ///< Replace them.
};

/// Options for opening a store.
struct open_options {
    std::chrono::milliseconds busy_timeout{5000};               ///< How long to wait for others; 0 means not at all.
    luat_kv::limits limits = luat_kv::limits::standard;         ///< The limits of the store.
    luat_kv::durability durability = luat_kv::durability::normal; ///< What survives a power failure.
    bool readonly = false;                                      ///< Open an existing file, and never write to it.
    /// How much memory the cache of values may take, in bytes, at most the memory of the machine; 0 means no cache. The
    /// stores on one file share one cache, with the size of the first that reads. Ignored in memory.
    std::uint64_t cache_size = std::uint64_t{16} << 20;
};

/// Options for storing a value.
struct put_options {
    std::optional<time_point> expiration{};               ///< When the entry expires; in the future.
    std::optional<std::chrono::seconds> expiration_ttl{}; ///< The same from now on. Takes precedence if both are set.
    std::string metadata{};                               ///< JSON text of any value but null; empty means none.
};

/// Options of incr(). They apply to a missing key; an existing key keeps its expiration.
struct incr_options {
    std::int64_t initial = 0;                             ///< The number to which `by` is added if the key is missing.
    std::optional<time_point> expiration{};               ///< When the new key expires.
    std::optional<std::chrono::seconds> expiration_ttl{}; ///< The same from now on. Takes precedence if both are set.
};

/// Options of a list.
struct list_options {
    std::string prefix{};                ///< Only keys with this prefix. There are no wildcards.
    std::string start{};                 ///< Only keys from this one on, inclusive, in byte order.
    std::optional<std::string> stop{};   ///< Only keys before this one, exclusive, in byte order. Not empty.
    bool reverse = false;                ///< From the last key to the first.
    bool values = false;                 ///< Whether to include values. A page then also ends when they reach 16 MiB.
    std::uint32_t limit = 1000;          ///< The maximum number of keys in a page, not of all pages of each().
    std::optional<std::string> cursor{}; ///< The page::cursor() of the page before. Not empty.
};

/// Options of a watch. By default it is one of the whole namespace.
struct watch_options {
    std::optional<std::vector<std::string>> keys{}; ///< Only these keys, 1 to 1000, whether they exist or not.
    std::string prefix{};                           ///< Only keys with this prefix. There are no wildcards.
    /// Whether to begin with what is there: the first changes are then every live key, as a put. A program that keeps a
    /// copy of the keys needs no list then, and can miss nothing between that and the watch.
    bool existing = false;
    /// Whether to include the new values. What one batch has changed may then be returned in parts, if its values
    /// amount to more than 16 MiB.
    bool values = false;
    /// The watch::token() of an earlier watch of this namespace, to go on from there: the first changes are what has
    /// changed since then. If that one had other keys, or another prefix, keys that only this one has are returned as
    /// if they were new. Empty: from now on. Not with existing.
    std::string since{};
};

/// \cond INTERNAL
namespace detail {

// Takes ownership of the error object, also if an exception is thrown.
[[noreturn]] inline void fail(luat_kv_status status, luat_kv_error* object) {
    const std::unique_ptr<luat_kv_error, decltype(&luat_kv_error_free)> owned(object, luat_kv_error_free);
    throw error(static_cast<errc>(status), luat_kv_error_message(owned.get()), luat_kv_error_errno(owned.get()));
}

// Calls a function whose last argument is the error object. Returns OK or an outcome.
template <class Function, class... Arguments>
luat_kv_status call(Function function, Arguments... arguments) {
    luat_kv_error* object = nullptr;
    const luat_kv_status status = function(arguments..., &object);
    if (status < 0)
        fail(status, object);
    return status;
}

// The same for a function whose last argument but one is its output. Returns the output.
template <class T, class Function, class... Arguments>
T ask(Function function, Arguments... arguments) {
    T answer{};
    call(function, arguments..., &answer);
    return answer;
}

// The deleter of a unique_ptr, which calls a function of the library.
template <auto Free>
struct freer {
    template <class T>
    void operator()(T* object) const noexcept { Free(object); }
};

template <class T, auto Free>
using handle = std::unique_ptr<T, freer<Free>>;

// What throws is apart from what is called often, so that compilers inline the latter.
[[noreturn]] inline void fail_closed(const char* what) {
    throw error(errc::invalid, std::string("the ") + what + " was closed, or moved from");
}

[[noreturn]] inline void fail_zero(const char* what) {
    throw error(errc::invalid, std::string(what) + " is 0; leave it out for an entry that stays");
}

// Returns the object of a smart pointer. Throws if it was closed or moved from.
template <class Pointer>
auto use(const Pointer& pointer, const char* what) {
    if (!pointer)
        fail_closed(what);
    return pointer.get();
}

inline const std::uint8_t* data(std::string_view view) noexcept {
    return reinterpret_cast<const std::uint8_t*>(view.data());
}

inline luat_kv_bytes bytes(std::string_view view) noexcept { return {data(view), view.size()}; }

inline std::string_view view(const std::uint8_t* data, std::size_t len) noexcept {
    return {reinterpret_cast<const char*>(data), len};
}

// Rejects a NUL: the C string would end there, and so name another file.
inline const char* path(const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw error(errc::invalid, "the path has a NUL in it");
    return path.c_str();
}

inline std::int64_t count(std::chrono::seconds seconds) { return static_cast<std::int64_t>(seconds.count()); }
inline std::int64_t count(time_point at) { return count(at.time_since_epoch()); }

// Rejects a time of 0, which means none in C, but was given explicitly here.
template <class Time>
std::int64_t seconds(const std::optional<Time>& time, const char* what) {
    if (time && count(*time) == 0)
        fail_zero(what);
    return time ? count(*time) : 0;
}

inline luat_kv_open_options to_c(const open_options& options) {
    luat_kv_open_options c;
    luat_kv_open_options_init(&c, sizeof c);
    const auto timeout = options.busy_timeout.count();
    if (timeout < 0 || timeout > std::numeric_limits<std::uint32_t>::max())
        throw error(errc::invalid, "busy_timeout is " + std::to_string(timeout) + " ms; it is 0 to 4294967295");
    c.busy_timeout_ms = static_cast<std::uint32_t>(timeout);
    c.flags = (timeout == 0 ? LUAT_KV_OPEN_NOWAIT : 0U) | (options.readonly ? LUAT_KV_OPEN_READONLY : 0U) |
              (options.cache_size == 0 ? LUAT_KV_OPEN_NO_CACHE : 0U);
    c.cache_size = options.cache_size;
    c.limits = static_cast<std::uint32_t>(options.limits);
    c.durability = static_cast<std::uint32_t>(options.durability);
    return c;
}

inline luat_kv_put_options to_c(const put_options& options) {
    luat_kv_put_options c;
    luat_kv_put_options_init(&c, sizeof c);
    c.expiration = seconds(options.expiration, "expiration");
    c.expiration_ttl = seconds(options.expiration_ttl, "expiration_ttl");
    c.metadata = bytes(options.metadata);
    return c;
}

inline luat_kv_incr_options to_c(const incr_options& options) {
    luat_kv_incr_options c;
    luat_kv_incr_options_init(&c, sizeof c);
    c.initial = options.initial;
    c.expiration = seconds(options.expiration, "expiration");
    c.expiration_ttl = seconds(options.expiration_ttl, "expiration_ttl");
    return c;
}

// Rejects an empty text, which means none in C, but was given explicitly here.
inline luat_kv_bytes bytes(const std::optional<std::string>& text, const char* what) {
    if (text && text->empty())
        throw error(errc::invalid, std::string(what) + " is empty; leave it out where there is none");
    return text ? bytes(*text) : luat_kv_bytes{};
}

inline luat_kv_list_options to_c(const list_options& options) {
    luat_kv_list_options c;
    luat_kv_list_options_init(&c, sizeof c);
    if (options.limit == 0)
        throw error(errc::invalid, "limit is 0; it is at least 1");
    c.flags = (options.reverse ? LUAT_KV_LIST_REVERSE : 0U) | (options.values ? LUAT_KV_LIST_VALUES : 0U);
    c.limit = options.limit;
    c.prefix = bytes(options.prefix);
    c.start = bytes(options.start);
    c.stop = bytes(options.stop, "stop");
    c.cursor = bytes(options.cursor, "cursor");
    return c;
}

// The views are of the options and of `keys`, which it fills.
inline luat_kv_watch_options to_c(const watch_options& options, std::vector<luat_kv_bytes>& keys) {
    luat_kv_watch_options c;
    luat_kv_watch_options_init(&c, sizeof c);
    if (options.keys && options.keys->empty())
        throw error(errc::invalid, "keys is empty; leave it out to watch all keys");
    if (options.keys)
        for (const std::string& key : *options.keys)
            keys.push_back(bytes(key));
    c.flags = (options.values ? LUAT_KV_WATCH_VALUES : 0U) | (options.existing ? LUAT_KV_WATCH_EXISTING : 0U);
    c.prefix = bytes(options.prefix);
    c.keys = keys.data();
    c.key_count = keys.size();
    c.since = bytes(options.since);
    return c;
}

} // namespace detail
/// \endcond

// ---- The library

/// The version of the loaded library, such as "0.1.0": static text.
inline const char* version() noexcept { return luat_kv_version(); }

/// Throws errc::invalid if the loaded library has another ABI than this header. Every open calls it first; a program
/// may also call it when it starts.
inline void check_abi(std::uint32_t loaded = luat_kv_abi_version()) {
    if (loaded != LUAT_KV_ABI_VERSION)
        throw error(errc::invalid, "libluat_kv " + std::string(version()) + " has ABI " + std::to_string(loaded) +
                                       ", and this program was compiled for " + std::to_string(LUAT_KV_ABI_VERSION));
}

// ---- Entries and pages

/// A key and its contents, at the time when they were read. It is a view of an entry, alone or in a page, and valid as
/// long as that.
class entry_view {
public:
    /// The key.
    std::string_view key() const noexcept { return text(luat_kv_entry_key); }

    /// The value, without a copy. In a list without values, its data() is nullptr.
    std::string_view value() const noexcept { return text(luat_kv_entry_value); }

    /// The metadata, as JSON text.
    std::optional<std::string_view> metadata() const noexcept {
        const std::string_view json = text(luat_kv_entry_metadata);
        return json.data() ? std::optional(json) : std::nullopt;
    }

    /// When the entry expires; empty means never.
    std::optional<time_point> expiration() const noexcept {
        const std::int64_t at = luat_kv_entry_expiration(entry_);
        return at ? std::optional(time_point(std::chrono::seconds(at))) : std::nullopt;
    }

    /// Identifies the write that stored the entry, for batch::check(): opaque text, different for each write of a key.
    std::string_view version() const noexcept { return text(luat_kv_entry_version); }

private:
    friend class entry;
    friend class change_view;
    template <class View>
    friend class view_range;
    explicit entry_view(const luat_kv_entry* got) noexcept : entry_(got) {}

    template <class Accessor>
    std::string_view text(Accessor accessor) const noexcept {
        std::size_t len = 0;
        const std::uint8_t* data = accessor(entry_, &len);
        return detail::view(data, len);
    }

    const luat_kv_entry* entry_;
};

/// A single entry, with the fields of an entry_view. kv_namespace::get_entry() and take() return it.
class entry {
public:
    /// A view of this entry.
    entry_view view() const { return entry_view(detail::use(entry_, "entry")); }
    /// The same.
    operator entry_view() const { return view(); }

    /// The key.
    std::string_view key() const { return view().key(); }
    /// The value, without a copy.
    std::string_view value() const { return view().value(); }
    /// The metadata, as JSON text.
    std::optional<std::string_view> metadata() const { return view().metadata(); }
    /// When the entry expires; empty means never.
    std::optional<time_point> expiration() const { return view().expiration(); }
    /// Identifies the write that stored the entry, for batch::check().
    std::string_view version() const { return view().version(); }

private:
    friend class kv_namespace;
    explicit entry(luat_kv_entry* got) noexcept : entry_(got) {}

    detail::handle<luat_kv_entry, luat_kv_entry_free> entry_;
};

/// What a call of the library has returned at once, as views: a range, for a `for` loop or an algorithm. It is empty
/// after it was moved from.
template <class View>
class view_range {
public:
    /// A random access iterator. It is valid until the range is freed or moved.
    using iterator = const View*;

    /// The first one.
    iterator begin() const noexcept { return views_.data(); }
    /// After the last one.
    iterator end() const noexcept { return begin() + size(); }
    /// How many there are.
    std::size_t size() const noexcept { return views_.size(); }
    /// Whether there are none.
    [[nodiscard]] bool empty() const noexcept { return views_.empty(); }
    /// The one at an index from 0. Throws errc::invalid if there is none.
    const View& operator[](std::size_t index) const {
        if (index >= size())
            throw error(errc::invalid, "index " + std::to_string(index) + " in a page of " + std::to_string(size()));
        return views_[index];
    }

protected:
    /// \cond INTERNAL
    using handle = detail::handle<luat_kv_page, luat_kv_page_free>;

    view_range() = default;
    // Takes the page at the end: if there is no memory for the views, the caller still has it.
    explicit view_range(handle&& got) {
        const std::size_t count = luat_kv_page_len(got.get());
        views_.reserve(count);
        for (std::size_t index = 0; index < count; index++)
            views_.push_back(View(luat_kv_page_at(got.get(), index)));
        page_ = std::move(got);
    }

    handle page_{};
    std::vector<View> views_{};
    /// \endcond
};

/// Entries in byte order of their keys, or reverse byte order.
class page : public view_range<entry_view> {
public:
    /// The list_options::cursor of the next page; empty after the last page.
    std::optional<std::string> cursor() const {
        std::size_t len = 0;
        const std::uint8_t* cursor = luat_kv_page_cursor(detail::use(page_, "page"), &len);
        return cursor ? std::optional<std::string>(detail::view(cursor, len)) : std::nullopt;
    }

private:
    friend class kv_namespace;
    friend class entry_range;
    friend class store;
    page() = default;
    explicit page(luat_kv_page* got) : view_range(handle(got)) {}
};

/// The entries of all pages, which are read one at a time. kv_namespace::each() returns it. It is for one `for` loop at
/// a time, which reads from the beginning. An entry is valid until the loop goes on. The range keeps the namespace
/// open.
class entry_range {
public:
    /// The position of the loop. Advancing may read a page, and so throw; then the position does not change.
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag; ///< All iterators of a range share one position.
        using value_type = entry_view;                     ///< The element.
        using difference_type = std::ptrdiff_t;            ///< The difference of two iterators.
        using pointer = const entry_view*;                 ///< To the element.
        using reference = const entry_view&;               ///< To the element.

        /// The end.
        iterator() noexcept = default;
        /// The current entry.
        reference operator*() const { return range_->page_[range_->index_]; }
        /// The current entry.
        pointer operator->() const { return &**this; }
        /// Moves to the next entry.
        iterator& operator++() { return range_->next(), *this; }
        /// Moves to the next entry.
        void operator++(int) { range_->next(); }
        /// Whether both are at the end, or neither is.
        friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.done() == b.done(); }
        /// Whether one is at the end, and the other not.
        friend bool operator!=(const iterator& a, const iterator& b) noexcept { return a.done() != b.done(); }

    private:
        friend class entry_range;
        explicit iterator(entry_range* range) noexcept : range_(range) {}
        bool done() const noexcept { return !range_ || range_->index_ == range_->page_.size(); }

        entry_range* range_ = nullptr;
    };

    entry_range(const entry_range&) = delete;
    entry_range& operator=(const entry_range&) = delete;

    /// Reads the first page, also if the range has already been read.
    iterator begin() { return read(options_.cursor, grows() ? first_page : options_.limit), iterator(this); }
    /// The end.
    iterator end() const noexcept { return {}; }

private:
    friend class kv_namespace;
    entry_range(std::shared_ptr<luat_kv_namespace> ns, const list_options& options)
        : ns_(std::move(ns)), options_(options) {}

    // A loop may end early, so its first page is small, and each page is larger than the one before, unless the options
    // have a limit.
    static constexpr std::uint32_t first_page = 4;
    static constexpr std::uint32_t growth = 4;
    bool grows() const noexcept { return options_.limit == list_options{}.limit; }

    void read(const std::optional<std::string>& cursor, std::uint32_t limit) {
        luat_kv_list_options options = detail::to_c(options_);
        if (options.limit > limit)
            options.limit = limit;
        options.cursor = cursor ? detail::bytes(*cursor) : luat_kv_bytes{};
        page_ = page(detail::ask<luat_kv_page*>(luat_kv_list, ns_.get(), &options));
        index_ = 0;
        limit_ = options.limit;
    }

    void next() {
        if (index_ + 1 == page_.size())
            if (const auto cursor = page_.cursor())
                return read(cursor, grows() ? limit_ * growth : limit_);
        index_++;
    }

    std::shared_ptr<luat_kv_namespace> ns_;
    list_options options_;
    page page_{};
    std::size_t index_ = 0;
    std::uint32_t limit_ = 0;
};

// ---- Changes

/// What has become of a key.
enum class change_type : std::uint32_t {
    put = LUAT_KV_CHANGE_PUT,     ///< It was stored, by any write that gave it a new version.
    erase = LUAT_KV_CHANGE_DELETE ///< It was removed, or has expired.
};

/// The latest state of a key that has changed. After change_type::put it has what the key holds, and a value if the
/// watch has watch_options::values; after change_type::erase it has only the key. Valid as long as its changes.
class change_view : public entry_view {
public:
    /// What has become of the key.
    change_type type() const noexcept { return is(LUAT_KV_CHANGE_PUT) ? change_type::put : change_type::erase; }

    /// Whether the key was not removed, but has expired. Its type() is change_type::erase.
    bool expired() const noexcept { return is(LUAT_KV_CHANGE_EXPIRE); }

private:
    friend class view_range<change_view>;
    explicit change_view(const luat_kv_entry* got) noexcept : entry_view(got) {}

    bool is(std::uint32_t change) const noexcept { return luat_kv_entry_change(entry_) == change; }
};

/// Changes in byte order of their keys, each key once.
class changes : public view_range<change_view> {
private:
    friend class watch;
    changes() = default;
    explicit changes(handle&& got) : view_range(std::move(got)) {}

    void drop(std::size_t count) { views_.erase(views_.begin(), views_.begin() + static_cast<std::ptrdiff_t>(count)); }
};

/// Reports what changes, whoever changes it: this process or another one. kv_namespace::open_watch() returns it.
///
///     auto sessions = users.open_watch({.prefix = "session:", .values = true});
///     while (!stopped)
///         for (const auto& change : sessions.next(1s))
///             std::cout << change.key() << (change.type() == luat_kv::change_type::put ? " is put\n" : " is gone\n");
///
/// It compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys. It keeps the
/// store open. An expiry alone wakes nobody: it is returned when the store changes next.
class watch {
public:
    /// The changes since the last call, what one batch has changed together. Waits until there is one, but not longer
    /// than the timeout: then they are empty. 0 does not wait. After an error nothing is lost.
    [[nodiscard]] changes next(std::chrono::milliseconds timeout) { return take(in_c(timeout)); }
    /// The same, without a timeout: only a change or an error ends it.
    [[nodiscard]] changes next() { return take(-1); }

    class range;

    /// The changes one by one, for a `for` loop that ends when nothing has changed for as long as the timeout. A loop
    /// that ends early loses nothing: the next one, or next(), continues after its last change. The range refers to
    /// the watch, which must neither move nor end before it.
    [[nodiscard]] range each(std::chrono::milliseconds timeout);
    /// The same, without a timeout.
    [[nodiscard]] range each();

    /// A token, from which a later watch goes on (watch_options::since), also in another process. It covers the changes
    /// that next() has returned, all of them, and those that a loop has reached, the current one included. A token is
    /// never too old. It contains what the watch knows of each key, in about 40 bytes and the part of the key that
    /// differs from the one before; so a program with many keys saves one now and then, and not after each change.
    [[nodiscard]] std::string token() const {
        const auto token = detail::ask<luat_kv_bytes>(luat_kv_watch_token, get(), handled());
        return std::string(static_cast<const char*>(token.data), token.len);
    }

    /// A descriptor for an event loop, or -1 where the system has none: only Linux has. It is readable when next(0ms)
    /// may have something to return. It belongs to the watch: only poll it. A thread of the library waits for changes
    /// as long as a watch of the store has a descriptor.
    int fd() { return detail::ask<int>(luat_kv_watch_fd, get()); }

    /// Ends the watch, and frees the handle. A second call has no effect.
    void close() noexcept { watch_.reset(); }

private:
    friend class kv_namespace;
    explicit watch(luat_kv_watch* got) noexcept : watch_(got) {}

    luat_kv_watch* get() const { return detail::use(watch_, "watch"); }

    // Rejects a negative time, which has no end in C.
    static std::int64_t in_c(std::chrono::milliseconds timeout) {
        if (timeout.count() < 0)
            throw error(errc::invalid, "the timeout is " + std::to_string(timeout.count()) + " ms; it is at least 0");
        return static_cast<std::int64_t>(timeout.count());
    }

    // While another thread is in it, the library throws, and nothing is changed here.
    changes read(std::int64_t timeout) {
        changes::handle got(unread_ ? unread_.release()
                                    : detail::ask<luat_kv_page*>(luat_kv_watch_next, get(), timeout));
        try {
            return changes(std::move(got)); // none after LUAT_KV_TIMEOUT
        } catch (...) {
            unread_ = std::move(got);
            throw;
        }
    }

    // Returns what a loop has not seen, or else what is new.
    changes take(std::int64_t timeout) {
        get();
        if (seen_.empty())
            return read(timeout);
        changes rest = std::move(seen_);
        rest.drop(std::exchange(index_, 0) + 1);
        return rest.empty() ? read(timeout) : std::move(rest);
    }

    // How many changes of the library's last answer the caller has been given.
    std::size_t handled() const noexcept {
        if (unread_)
            return 0;
        return seen_.empty() ? std::numeric_limits<std::size_t>::max() : index_ + 1;
    }

    // Moves a loop to the next change. When the time is over, there is none, which is its end.
    void advance(std::int64_t timeout) {
        get();
        const std::size_t next = seen_.empty() ? 0 : index_ + 1;
        if (next == seen_.size())
            seen_ = read(timeout), index_ = 0;
        else
            index_ = next;
    }

    detail::handle<luat_kv_watch, luat_kv_watch_free> watch_;
    changes::handle unread_{}; // what was returned when there was no memory for the views
    changes seen_{};           // those of the loop, which is at index_
    std::size_t index_ = 0;
};

/// The changes of a watch one by one. watch::each() returns it. A change is valid until the loop goes on, or
/// watch::next() is called.
class watch::range {
public:
    /// The position of the loop. Advancing may wait, and throw; then the position does not change.
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag; ///< All iterators of a watch share one position.
        using value_type = change_view;                    ///< The element.
        using difference_type = std::ptrdiff_t;            ///< The difference of two iterators.
        using pointer = const change_view*;                ///< To the element.
        using reference = const change_view&;              ///< To the element.

        /// The end.
        iterator() noexcept = default;
        /// The current change.
        reference operator*() const { return watch_->seen_[watch_->index_]; }
        /// The current change.
        pointer operator->() const { return &**this; }
        /// Moves to the next change.
        iterator& operator++() { return watch_->advance(timeout_), *this; }
        /// Moves to the next change.
        void operator++(int) { watch_->advance(timeout_); }
        /// Whether both are at the end, or neither is.
        friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.done() == b.done(); }
        /// Whether one is at the end, and the other not.
        friend bool operator!=(const iterator& a, const iterator& b) noexcept { return a.done() != b.done(); }

    private:
        friend class range;
        iterator(watch* of, std::int64_t timeout) noexcept : watch_(of), timeout_(timeout) {}
        bool done() const noexcept { return !watch_ || watch_->seen_.empty(); }

        watch* watch_ = nullptr;
        std::int64_t timeout_ = 0;
    };

    /// Waits for the first change that no loop has seen.
    iterator begin() const { return watch_->advance(timeout_), iterator(watch_, timeout_); }
    /// The end.
    iterator end() const noexcept { return {}; }

private:
    friend class watch;
    range(watch* of, std::int64_t timeout) noexcept : watch_(of), timeout_(timeout) {}

    watch* watch_;
    std::int64_t timeout_;
};

inline watch::range watch::each(std::chrono::milliseconds timeout) { return {this, in_c(timeout)}; }
inline watch::range watch::each() { return {this, -1}; }

// ---- A namespace

/// A separate set of keys within a store. store::open_namespace() returns it.
class kv_namespace {
public:
    /// The value of a key; empty if it is missing or has expired.
    [[nodiscard]] std::optional<std::string> get(text key) const {
        std::uint8_t buffer[1024];
        std::size_t len = 0;
        switch (detail::call(luat_kv_get, ns(), detail::data(key), key.size(), buffer, sizeof buffer, &len)) {
        case LUAT_KV_NOT_FOUND:
            return std::nullopt;
        case LUAT_KV_TOO_SMALL: { // its length may have changed meanwhile
            const std::optional<entry> large = get_entry(key);
            return large ? std::optional<std::string>(large->value()) : std::nullopt;
        }
        default:
            return std::optional<std::string>(std::in_place, reinterpret_cast<const char*>(buffer), len);
        }
    }

    /// A value with its metadata, expiration and version; empty if the key is missing or has expired.
    [[nodiscard]] std::optional<entry> get_entry(text key) const {
        auto* got = detail::ask<luat_kv_entry*>(luat_kv_get_entry, ns(), detail::data(key), key.size());
        return got ? std::optional<entry>(entry(got)) : std::nullopt;
    }

    /// Whether a key exists. The value is not read.
    [[nodiscard]] bool contains(text key) const {
        return detail::call(luat_kv_has, ns(), detail::data(key), key.size()) == LUAT_KV_OK;
    }

    /// The entries of those of the keys that exist, in byte order and each once, all as of one moment. The keys are any
    /// range of existing text, such as a std::vector<std::string>.
    template <class Keys>
    [[nodiscard]] page get_many(const Keys& keys) const {
        using item = decltype(*std::begin(keys));
        static_assert(std::is_reference_v<item> || std::is_same_v<item, std::string_view>, "keys must stay in place");
        std::vector<luat_kv_bytes> all;
        for (const std::string_view key : keys)
            all.push_back(detail::bytes(key));
        return page(detail::ask<luat_kv_page*>(luat_kv_get_many, ns(), all.data(), all.size()));
    }
    /// The same, as in `get_many({"a", "b"})`.
    [[nodiscard]] page get_many(std::initializer_list<std::string_view> keys) const {
        return get_many<std::initializer_list<std::string_view>>(keys);
    }

    /// Stores a value, and replaces everything that the key held: value, metadata and expiration.
    void put(text key, text value) { store_with(luat_kv_put, key, value, nullptr); }
    /// The same, with an expiration or metadata.
    void put(text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        store_with(luat_kv_put, key, value, &c);
    }

    /// Stores a value if the key is missing. Returns whether it was.
    bool add(text key, text value) { return store_with(luat_kv_add, key, value, nullptr); }
    /// The same, with an expiration or metadata.
    bool add(text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        return store_with(luat_kv_add, key, value, &c);
    }

    /// Like put(), and returns the version of the new entry, for batch::check().
    std::string put_versioned(text key, text value) {
        return *store_versioned(luat_kv_put_versioned, key, value, nullptr);
    }
    /// The same, with an expiration or metadata.
    std::string put_versioned(text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        return *store_versioned(luat_kv_put_versioned, key, value, &c);
    }

    /// Like add(), and returns the version of the new entry; empty if the key existed.
    std::optional<std::string> add_versioned(text key, text value) {
        return store_versioned(luat_kv_add_versioned, key, value, nullptr);
    }
    /// The same, with an expiration or metadata.
    std::optional<std::string> add_versioned(text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        return store_versioned(luat_kv_add_versioned, key, value, &c);
    }

    /// Removes a key. Returns whether it existed. A missing key is not an error.
    bool erase(text key) {
        return detail::call(luat_kv_remove, ns(), detail::data(key), key.size()) == LUAT_KV_OK;
    }

    /// Removes a key, and returns its entry, in one step; empty if the key is missing. If several callers take the same
    /// key, one of them gets the entry.
    [[nodiscard]] std::optional<entry> take(text key) {
        auto* got = detail::ask<luat_kv_entry*>(luat_kv_take, ns(), detail::data(key), key.size());
        return got ? std::optional<entry>(entry(got)) : std::nullopt;
    }

    /// Sets the lifetime of a key, from now on. The value and the metadata are kept. Returns whether the key exists.
    bool touch(text key, std::chrono::seconds ttl) {
        return touch(key, 0, detail::seconds(std::optional(ttl), "the lifetime"));
    }
    /// Sets the expiration of a key. Returns whether the key exists.
    bool touch(text key, time_point expiration) {
        return touch(key, detail::seconds(std::optional(expiration), "the expiration"), 0);
    }
    /// Removes the expiration of a key. Returns whether the key exists.
    bool touch(text key) { return touch(key, 0, 0); }

    /// Adds to the integer that a key holds as decimal text, and returns the sum. A missing key is created.
    std::int64_t incr(text key, std::int64_t by = 1) { return incr_with(key, by, nullptr); }
    /// The same, with options.
    std::int64_t incr(text key, std::int64_t by, const incr_options& options) {
        const luat_kv_incr_options c = detail::to_c(options);
        return incr_with(key, by, &c);
    }

    /// A page of live keys. page::cursor() is the cursor of the next page.
    [[nodiscard]] page list(const list_options& options = {}) const {
        const luat_kv_list_options c = detail::to_c(options);
        return page(detail::ask<luat_kv_page*>(luat_kv_list, ns(), &c));
    }

    /// The live entries of all pages, for a `for` loop. The limit applies to each page, not to the loop. With the
    /// default limit the first pages are small.
    [[nodiscard]] entry_range each(const list_options& options = {}) const { return ns(), entry_range(ns_, options); }

    /// Begins to watch keys: watch::next() returns what changes from now on. What they hold now is no change, unless
    /// watch_options::existing is set. A program that keeps a copy of the keys sets it. With a list of its own it could
    /// miss the removal of a key that was put just before the list and removed just after.
    [[nodiscard]] watch open_watch(const watch_options& options = {}) const {
        std::vector<luat_kv_bytes> keys;
        const luat_kv_watch_options c = detail::to_c(options, keys);
        return watch(detail::ask<luat_kv_watch*>(luat_kv_watch_open, ns(), &c));
    }

    /// The number of live keys with a prefix.
    [[nodiscard]] std::uint64_t count(text prefix = "") const {
        return detail::ask<std::uint64_t>(luat_kv_count, ns(), detail::data(prefix), prefix.size());
    }

    /// Removes all keys with a prefix, which must not be empty, in small steps. Returns how many were live.
    std::uint64_t erase_prefix(text prefix) {
        return detail::ask<std::uint64_t>(luat_kv_delete_prefix, ns(), detail::data(prefix), prefix.size());
    }

    /// Removes all keys, in small steps. Returns how many were live.
    std::uint64_t clear() { return detail::ask<std::uint64_t>(luat_kv_clear, ns()); }

    /// The result of an import.
    struct imported {
        std::uint64_t stored = 0;  ///< The number of stored entries.
        std::uint64_t skipped = 0; ///< The number of entries that had expired, or whose keys existed.
    };

    /// Writes all live entries to a JSON file. Returns how many.
    std::uint64_t export_to(const std::string& path, format format = format::json) const {
        return detail::ask<std::uint64_t>(luat_kv_export, ns(), detail::path(path), static_cast<std::uint32_t>(format));
    }

    /// Stores the entries of an export: all of them, or none after an error.
    imported import_from(const std::string& path, existing existing = existing::keep) {
        imported done;
        detail::call(luat_kv_import, ns(), detail::path(path), static_cast<std::uint32_t>(existing), &done.stored,
                     &done.skipped);
        return done;
    }

#ifndef _WIN32
    /// Like export_to(), to a descriptor: a file, a pipe, a socket. The caller keeps it, and it stays open.
    std::uint64_t export_to_fd(int fd, format format = format::json) const {
        return detail::ask<std::uint64_t>(luat_kv_export_fd, ns(), fd, static_cast<std::uint32_t>(format));
    }

    /// Like import_from(), from a descriptor. The caller keeps it, and it stays open.
    imported import_from_fd(int fd, existing existing = existing::keep) {
        imported done;
        detail::call(luat_kv_import_fd, ns(), fd, static_cast<std::uint32_t>(existing), &done.stored, &done.skipped);
        return done;
    }
#endif

    /// Frees the handle. A second call has no effect. The namespace's keys stay in the store.
    void close() noexcept { ns_.reset(); }

    /// A handle can be moved, but not copied.
    kv_namespace(kv_namespace&&) noexcept = default;
    /// Frees the old handle.
    kv_namespace& operator=(kv_namespace&&) noexcept = default;

private:
    friend class batch;
    friend class store;
    explicit kv_namespace(luat_kv_namespace* got) : ns_(got, luat_kv_namespace_free) {}

    luat_kv_namespace* ns() const { return detail::use(ns_, "namespace"); }

    // Stores a value with the options, which may be nullptr. Returns whether it did.
    template <class Function, class... Version>
    bool store_with(Function function, text key, text value, const luat_kv_put_options* options, Version... version) {
        return detail::call(function, ns(), detail::data(key), key.size(), detail::data(value), value.size(), options,
                            version...) == LUAT_KV_OK;
    }

    template <class Function>
    std::optional<std::string> store_versioned(Function function, text key, text value,
                                               const luat_kv_put_options* options) {
        char version[LUAT_KV_VERSION_SIZE];
        const bool is_stored = store_with(function, key, value, options, version);
        return is_stored ? std::optional<std::string>(version) : std::nullopt;
    }

    std::int64_t incr_with(text key, std::int64_t by, const luat_kv_incr_options* options) {
        return detail::ask<std::int64_t>(luat_kv_incr, ns(), detail::data(key), key.size(), by, options);
    }

    bool touch(text key, std::int64_t expiration, std::int64_t ttl) {
        return detail::call(luat_kv_touch, ns(), detail::data(key), key.size(), expiration, ttl) == LUAT_KV_OK;
    }

    std::shared_ptr<luat_kv_namespace> ns_; // shared with the ranges that read it
};

// ---- A batch

/// Changes to namespaces of one store, which are applied in their order, all together or not at all:
///
///     auto apples = stock.get_entry("apples");
///     auto version = store.open_batch().check(stock, "apples", apples).put(stock, "apples", "2").commit();
///     if (!version) …                               // another writer was faster: read again
///
/// Until the commit, nothing is written, and no other call has to wait. An error does not change a batch.
class batch {
public:
    /// Adds the condition that a key still has this version, of an entry or a commit.
    batch& check(const kv_namespace& ns, text key, text version) {
        if (version.empty())
            throw error(errc::invalid, "the version is empty; std::nullopt is for a key that must be missing");
        return check(ns, key, detail::bytes(version));
    }
    /// Adds the condition that a key is missing.
    batch& check(const kv_namespace& ns, text key, std::nullopt_t) {
        return check(ns, key, luat_kv_bytes{});
    }
    /// Adds the condition that a key has the same version as an entry, or is missing if there is no entry.
    batch& check(const kv_namespace& ns, text key, const std::optional<entry>& seen) {
        return seen ? check(ns, key, seen->version()) : check(ns, key, std::nullopt);
    }

    /// Adds a kv_namespace::put(). A lifetime begins with the commit.
    batch& put(const kv_namespace& ns, text key, text value) { return put_with(ns, key, value, nullptr); }
    /// The same, with an expiration or metadata.
    batch& put(const kv_namespace& ns, text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        return put_with(ns, key, value, &c);
    }

    /// Adds a kv_namespace::erase().
    batch& erase(const kv_namespace& ns, text key) {
        detail::call(luat_kv_batch_delete, get(), ns.ns(), detail::data(key), key.size());
        return *this;
    }

    /// Adds a kv_namespace::incr(). If the key's value is not an integer, the commit fails.
    batch& incr(const kv_namespace& ns, text key, std::int64_t by = 1) { return incr_with(ns, key, by, nullptr); }
    /// The same, with options.
    batch& incr(const kv_namespace& ns, text key, std::int64_t by, const incr_options& options) {
        const luat_kv_incr_options c = detail::to_c(options);
        return incr_with(ns, key, by, &c);
    }

    /// Applies all changes, and returns the version of all stored entries; empty if a condition did not hold, and
    /// nothing was changed. Then the batch cannot be used again. After an error it can be committed again.
    std::optional<std::string> commit() {
        if (detail::call(luat_kv_batch_commit, get()) != LUAT_KV_OK)
            return std::nullopt;
        std::size_t len = 0;
        const std::uint8_t* version = luat_kv_batch_version(get(), &len);
        return std::string(detail::view(version, len));
    }

private:
    friend class store;
    explicit batch(luat_kv_batch* got) noexcept : batch_(got) {}

    luat_kv_batch* get() const { return detail::use(batch_, "batch"); }

    batch& check(const kv_namespace& ns, text key, luat_kv_bytes version) {
        detail::call(luat_kv_batch_check, get(), ns.ns(), detail::data(key), key.size(), version.data, version.len);
        return *this;
    }

    batch& put_with(const kv_namespace& ns, text key, text value, const luat_kv_put_options* options) {
        detail::call(luat_kv_batch_put, get(), ns.ns(), detail::data(key), key.size(), detail::data(value),
                     value.size(), options);
        return *this;
    }

    batch& incr_with(const kv_namespace& ns, text key, std::int64_t by, const luat_kv_incr_options* options) {
        detail::call(luat_kv_batch_incr, get(), ns.ns(), detail::data(key), key.size(), by, options);
        return *this;
    }

    detail::handle<luat_kv_batch, luat_kv_batch_free> batch_;
};

// ---- The store

/// The contents of a namespace in numbers.
struct namespace_stats {
    std::string name{};        ///< Its name.
    std::uint64_t live = 0;    ///< The number of live keys.
    std::uint64_t expired = 0; ///< The number of expired keys that have not been swept yet.
};

/// What the cache of values has done, since this process has the file open; all 0 in memory.
struct cache_stats {
    std::uint64_t hits = 0;   ///< The number of keys that were read from the cache.
    std::uint64_t misses = 0; ///< The number of keys that were not in the cache, and were read by SQLite.
    std::uint64_t drops = 0;  ///< How often it was emptied, as the file was changed other than by own single writes.
    std::uint64_t size = 0;   ///< The memory that the cache takes, in bytes.
};

/// The contents of a store in numbers.
struct stats {
    std::string path{};                        ///< What store::path() returns.
    std::uint64_t file_size = 0;               ///< The size on disk in bytes, including the log beside the file.
    std::vector<namespace_stats> namespaces{}; ///< All that have keys, including expired ones, in byte order.
    cache_stats cache{};                       ///< The cache of values.
};

/// A database file, a PostgreSQL database, or memory, that contains namespaces. Paths are bytes in the system's encoding,
/// UTF-8 on Windows. On other systems, a std::filesystem::path is also accepted.
class store {
public:
    /// Opens the database file at a path. If it is missing, it is created, with its folders.
    [[nodiscard]] static store open(const std::string& path, const open_options& options = {}) {
        return open_with(luat_kv_open, options, detail::path(path));
    }

    /// Opens the store that a URL or a path names, such as "postgresql://user@host/database", "file:kv.db" or "memory:"
    /// (see luat_kv_open_url in luat_kv.h).
    [[nodiscard]] static store open_url(const std::string& url, const open_options& options = {}) {
        return open_with(luat_kv_open_url, options, detail::path(url));
    }

    /// Opens the store of the Luat project that contains a folder.
    [[nodiscard]] static store open_project(const std::string& dir = ".", const open_options& options = {}) {
        return open_with(luat_kv_open_project, options, detail::path(dir));
    }

    /// Creates an empty store in memory. Of the options, only the limits have an effect; readonly is errc::invalid.
    [[nodiscard]] static store open_memory(const open_options& options = {}) {
        return open_with(luat_kv_open_memory, options);
    }

    /// Opens a namespace. Nothing is written until a key is put.
    [[nodiscard]] kv_namespace open_namespace(text name) const {
        return kv_namespace(
            detail::ask<luat_kv_namespace*>(luat_kv_namespace_open, get(), detail::data(name), name.size()));
    }

    /// The database file's absolute path, or "memory", or the URL of the PostgreSQL database without its password.
    [[nodiscard]] std::string path() const { return luat_kv_store_path(get()); }

    /// The limits of the store. A field that the loaded library does not know is 0.
    [[nodiscard]] luat_kv_limits limits() const {
        luat_kv_limits limits;
        luat_kv_store_limits(get(), &limits, sizeof limits);
        return limits;
    }

    /// Begins an empty batch.
    [[nodiscard]] batch open_batch() const { return batch(detail::ask<luat_kv_batch*>(luat_kv_batch_open, get())); }

    /// The names of the namespaces that have live keys, in byte order.
    [[nodiscard]] std::vector<std::string> namespaces() const {
        const page all(detail::ask<luat_kv_page*>(luat_kv_namespaces, get()));
        std::vector<std::string> names;
        for (const entry_view& each : all)
            names.emplace_back(each.key());
        return names;
    }

    /// The contents of the store in numbers. Counts every entry.
    [[nodiscard]] luat_kv::stats stats() const {
        auto* got = detail::ask<luat_kv_stats*>(luat_kv_stats_read, get());
        const detail::handle<luat_kv_stats, luat_kv_stats_free> owned(got);
        luat_kv_cache_stats cache;
        luat_kv_stats_cache(got, &cache, sizeof cache);
        luat_kv::stats read{luat_kv_stats_path(got), luat_kv_stats_file_size(got), {},
                            {cache.hits, cache.misses, cache.drops, cache.size}};
        for (std::size_t index = 0; index < luat_kv_stats_len(got); index++) {
            std::size_t len = 0;
            const std::uint8_t* name = luat_kv_stats_name(got, index, &len);
            read.namespaces.push_back({std::string(detail::view(name, len)), luat_kv_stats_live(got, index),
                                       luat_kv_stats_expired(got, index)});
        }
        return read;
    }

    /// Removes expired entries, at most max (0: all). Returns how many. It is never needed for correct results.
    std::uint64_t sweep(std::uint64_t max = 0) { return detail::ask<std::uint64_t>(luat_kv_sweep, get(), max); }

    /// Rewrites the file without the space that removed entries have left. Meanwhile writers wait.
    void compact() { detail::call(luat_kv_compact, get()); }

    /// Moves the log beside the file into it. Returns whether all of it was moved.
    bool checkpoint() { return detail::ask<int>(luat_kv_checkpoint, get()) != 0; }

    /// Copies the whole store, as of one moment, into a new database file. Others can write meanwhile. With PostgreSQL it is
/// errc::invalid: use pg_dump.
    void backup(const std::string& path) const { detail::call(luat_kv_backup, get(), detail::path(path)); }

    /// Frees the handle. A second call has no effect. Namespaces and batches can still be used, and the file is closed
    /// with the last of them.
    void close() noexcept { store_.reset(); }

private:
    explicit store(luat_kv_store* got) noexcept : store_(got) {}

    template <class Function, class... Path>
    static store open_with(Function function, const open_options& options, Path... path) {
        check_abi();
        const luat_kv_open_options c = detail::to_c(options);
        return store(detail::ask<luat_kv_store*>(function, path..., &c));
    }

    luat_kv_store* get() const { return detail::use(store_, "store"); }

    detail::handle<luat_kv_store, luat_kv_close> store_;
};

} // namespace luat_kv

#endif
