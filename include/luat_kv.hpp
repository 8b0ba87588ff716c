/// \file
/// luat_kv for C++17 and later: handles that free themselves, strings in and out, errors as exceptions. Header only,
/// over the C library of `luat_kv.h`, which is to be linked: `-lluat_kv`.
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
/// What everything here keeps to, said once; all else is as `luat_kv.h` says of the function that is called:
///
/// - **Text and bytes.** Keys and names are UTF-8 and not empty; values are any bytes, of any length from 0. Both are a
///   std::string or std::string_view, which may have NULs in it. Arguments are borrowed for the call. The text in
///   options is their own, so that they may be filled from temporaries.
/// - **Errors** are thrown as luat_kv::error, std::bad_alloc aside. After one, whatever was to be changed is as it was,
///   and the store works on. That a key is missing, or a condition did not hold, is no error but an empty
///   std::optional or `false`.
/// - **Ownership.** A store, namespace, entry, page or batch is a handle that can be moved and not copied, and frees
///   itself. They may go in any order: each keeps what it needs alive, and the file closes with the last of them. Using
///   one that was closed or moved from throws errc::invalid. Views (entry_view, and every std::string_view that comes
///   out) live as long as the entry or page they are from.
/// - **Threads.** Stores and namespaces: any thread, at any time, but for a close or a move, which must not run beside
///   another use of that handle. Entries, pages, ranges and batches: one thread at a time.
/// - **Times** are Unix time in whole seconds, as a luat_kv::time_point; lifetimes are std::chrono::seconds. A lifetime
///   or a limit of zero is an error, not a way to say "none": leave it out instead.
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

/// Everything of this header.
namespace luat_kv {

/// A moment in Unix time: `std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now())`.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

/// Text or bytes that are passed in: all that makes a std::string_view, but for NULL, and 0 or `false`, which C++ takes
/// for it.
class text : public std::string_view {
public:
    /// From a std::string_view, a std::string, a literal, ...
    template <class T, class = std::enable_if_t<std::is_convertible_v<const T&, std::string_view> &&
                                                !std::is_same_v<T, std::nullptr_t>>>
    text(const T& from) noexcept : std::string_view(from) {}
};

// ---- Errors

/// Why a call failed. A newer library may come with a number that is not listed here.
enum class errc : luat_kv_status {
    invalid = LUAT_KV_INVALID,    ///< The request itself is wrong: it would fail again.
    io = LUAT_KV_IO,              ///< The operating system refused: no such folder, no permission, disk full.
    busy = LUAT_KV_BUSY,          ///< Another process or connection wrote for longer than the busy timeout. Try again.
    corrupt = LUAT_KV_CORRUPT,    ///< The file is not a database, is damaged, or is not a key-value store's.
    readonly = LUAT_KV_READONLY,  ///< A write to a store or file that is for reading only.
    limit = LUAT_KV_LIMIT,        ///< Something is longer, or a lifetime shorter, than the store's limits allow.
    nomem = LUAT_KV_NOMEM,        ///< Memory ran out in the library.
    panic = LUAT_KV_PANIC,        ///< A bug in the library was caught; the store goes on working. Please report it.
    internal = LUAT_KV_INTERNAL   ///< SQLite answered something unexpected.
};

/// What is thrown: what() is one line of UTF-8, as in "luat_kv: BUSY: …".
class error : public std::runtime_error {
public:
    /// An error with a code, the words that follow it in what(), and the number of the system's error, if there is one.
    error(errc code, const std::string& message, int os_error = 0)
        : std::runtime_error(std::string("luat_kv: ") + name(code) + ": " + message), code_(code), os_error_(os_error) {}

    /// The code, to act upon.
    errc code() const noexcept { return code_; }

    /// The code's name, as in "BUSY": static text.
    const char* name() const noexcept { return name(code_); }

    /// The number of the system's error, such as ENOSPC: for a std::error_code of std::system_category(). 0 where no
    /// call of the system failed.
    int os_error() const noexcept { return os_error_; }

private:
    static const char* name(errc code) noexcept { return luat_kv_status_str(static_cast<luat_kv_status>(code)); }

    errc code_;
    int os_error_;
};

// ---- Options: plain structs, for designated initialisers or for filling in. What is left alone has its default.

/// What a store takes in.
enum class limits : std::uint32_t {
    standard = LUAT_KV_LIMITS_DEFAULT,     ///< Keys of 4 KiB, values of 512 MiB, metadata of 64 KiB, pages of 10 000.
    cloudflare = LUAT_KV_LIMITS_CLOUDFLARE ///< Those of Cloudflare Workers KV, for an app that must later run there.
};

/// What survives a power cut; the death of the process harms neither.
enum class durability : std::uint32_t {
    normal = LUAT_KV_DURABILITY_NORMAL, ///< All but the last moments.
    full = LUAT_KV_DURABILITY_FULL      ///< All that was acknowledged, for an fsync with each write.
};

/// How an export is written.
enum class format : std::uint32_t {
    json = LUAT_KV_FORMAT_JSON,            ///< One JSON array, as Wrangler's `kv bulk put` takes it.
    json_lines = LUAT_KV_FORMAT_JSON_LINES ///< The same objects, each on a line of its own.
};

/// What an import does with keys that are there already.
enum class existing : std::uint32_t {
    keep = 0,                        ///< Leave them alone.
    replace = LUAT_KV_IMPORT_REPLACE ///< Replace what they hold.
};

/// How to open a store.
struct open_options {
    std::chrono::milliseconds busy_timeout{5000};               ///< How long to wait for others; 0 is not at all.
    luat_kv::limits limits = luat_kv::limits::standard;         ///< What the store takes in.
    luat_kv::durability durability = luat_kv::durability::normal; ///< What survives a power cut.
    bool readonly = false;                                      ///< Open a file that exists, and never write to it.
};

/// How to store a value.
struct put_options {
    std::optional<time_point> expiration{};               ///< When the entry is gone; in the future.
    std::optional<std::chrono::seconds> expiration_ttl{}; ///< The same from now on. Wins where both are set.
    std::string metadata{};                               ///< JSON text of any value but null; empty is none.
};

/// How to count. One that is there already keeps its own expiration.
struct incr_options {
    std::int64_t initial = 0;                             ///< What a missing key counts from.
    std::optional<time_point> expiration{};               ///< When a key that is created here is gone.
    std::optional<std::chrono::seconds> expiration_ttl{}; ///< The same from now on. Wins where both are set.
};

/// Which keys to list.
struct list_options {
    std::string prefix{};                ///< Only keys that begin with this; every character stands for itself.
    std::string start{};                 ///< Only keys from this one on, itself included, in byte order.
    std::optional<std::string> stop{};   ///< Only keys before this one, in byte order. Not empty.
    bool reverse = false;                ///< From the last key to the first.
    bool values = false;                 ///< The values too. A page then ends early, when they come to 16 MiB.
    std::uint32_t limit = 1000;          ///< How many keys a page holds at most.
    std::optional<std::string> cursor{}; ///< Where the previous page ended: its page::cursor(). Not empty.
};

/// \cond INTERNAL
namespace detail {

// Takes the error object over, whatever happens.
[[noreturn]] inline void fail(luat_kv_status status, luat_kv_error* told) {
    const std::unique_ptr<luat_kv_error, decltype(&luat_kv_error_free)> owned(told, luat_kv_error_free);
    throw error(static_cast<errc>(status), luat_kv_error_message(owned.get()), luat_kv_error_errno(owned.get()));
}

// Calls a function with the error object that comes last, and returns OK or an outcome.
template <class Function, class... Arguments>
luat_kv_status call(Function function, Arguments... arguments) {
    luat_kv_error* told = nullptr;
    const luat_kv_status status = function(arguments..., &told);
    if (status < 0)
        fail(status, told);
    return status;
}

// The same for a function whose last argument but one is its output, which this returns.
template <class T, class Function, class... Arguments>
T ask(Function function, Arguments... arguments) {
    T answer{};
    call(function, arguments..., &answer);
    return answer;
}

// unique_ptr's deleter for what a function of the library frees.
template <auto Free>
struct freer {
    template <class T>
    void operator()(T* object) const noexcept { Free(object); }
};

template <class T, auto Free>
using handle = std::unique_ptr<T, freer<Free>>;

// The object behind a smart pointer that was not closed or moved from.
template <class Pointer>
auto use(const Pointer& pointer, const char* what) {
    if (!pointer)
        throw error(errc::invalid, std::string("the ") + what + " was closed, or moved from");
    return pointer.get();
}

inline const std::uint8_t* data(std::string_view view) noexcept {
    return reinterpret_cast<const std::uint8_t*>(view.data());
}

inline luat_kv_bytes bytes(std::string_view view) noexcept { return {data(view), view.size()}; }

inline std::string_view view(const std::uint8_t* data, std::size_t len) noexcept {
    return {reinterpret_cast<const char*>(data), len};
}

// A C string would end at a NUL, and so name another file.
inline const char* path(const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw error(errc::invalid, "the path has a NUL in it");
    return path.c_str();
}

inline std::int64_t count(std::chrono::seconds seconds) { return static_cast<std::int64_t>(seconds.count()); }
inline std::int64_t count(time_point at) { return count(at.time_since_epoch()); }

// In C a time of 0 is none; here it was asked for.
template <class Time>
std::int64_t seconds(const std::optional<Time>& time, const char* what) {
    if (time && count(*time) == 0)
        throw error(errc::invalid, std::string(what) + " is 0; leave it out for an entry that stays");
    return time ? count(*time) : 0;
}

inline luat_kv_open_options to_c(const open_options& options) {
    luat_kv_open_options c;
    luat_kv_open_options_init(&c, sizeof c);
    const auto timeout = options.busy_timeout.count();
    if (timeout < 0 || timeout > std::numeric_limits<std::uint32_t>::max())
        throw error(errc::invalid, "busy_timeout is " + std::to_string(timeout) + " ms; it is 0 to 4294967295");
    c.busy_timeout_ms = static_cast<std::uint32_t>(timeout);
    c.flags = (timeout == 0 ? LUAT_KV_OPEN_NOWAIT : 0U) | (options.readonly ? LUAT_KV_OPEN_READONLY : 0U);
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

// In C an empty text is none; here it was asked for.
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

} // namespace detail
/// \endcond

// ---- The library

/// The version of the library that is loaded, as in "0.1.0": static text.
inline const char* version() noexcept { return luat_kv_version(); }

/// Throws errc::invalid if the library that is loaded is not the one that this header is for. Every open does so first;
/// a program may do so when it starts.
inline void check_abi(std::uint32_t loaded = luat_kv_abi_version()) {
    if (loaded != LUAT_KV_ABI_VERSION)
        throw error(errc::invalid, "libluat_kv " + std::string(version()) + " has ABI " + std::to_string(loaded) +
                                       ", and this program was compiled for " + std::to_string(LUAT_KV_ABI_VERSION));
}

// ---- What is read

/// A key and what it holds, as it was when it was read: a view of an entry or of an entry in a page, and as long-lived.
class entry_view {
public:
    /// The key.
    std::string_view key() const noexcept { return text(luat_kv_entry_key); }

    /// The value, without a copy. Its data() is nullptr in a page that was listed without values.
    std::string_view value() const noexcept { return text(luat_kv_entry_value); }

    /// The metadata, as JSON text.
    std::optional<std::string_view> metadata() const noexcept {
        const std::string_view json = text(luat_kv_entry_metadata);
        return json.data() ? std::optional(json) : std::nullopt;
    }

    /// When the entry is gone; empty: never.
    std::optional<time_point> expiration() const noexcept {
        const std::int64_t at = luat_kv_entry_expiration(entry_);
        return at ? std::optional(time_point(std::chrono::seconds(at))) : std::nullopt;
    }

    /// Which write the entry comes from, for batch::check(): opaque text, another with each write of a key.
    std::string_view version() const noexcept { return text(luat_kv_entry_version); }

private:
    friend class entry;
    friend class page;
    explicit entry_view(const luat_kv_entry* got) noexcept : entry_(got) {}

    template <class Accessor>
    std::string_view text(Accessor accessor) const noexcept {
        std::size_t len = 0;
        const std::uint8_t* data = accessor(entry_, &len);
        return detail::view(data, len);
    }

    const luat_kv_entry* entry_;
};

/// An entry of its own, which kv_namespace::get_entry() gives: the fields of an entry_view.
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
    /// When the entry is gone; empty: never.
    std::optional<time_point> expiration() const { return view().expiration(); }
    /// Which write the entry comes from, for batch::check().
    std::string_view version() const { return view().version(); }

private:
    friend class kv_namespace;
    explicit entry(luat_kv_entry* got) noexcept : entry_(got) {}

    detail::handle<luat_kv_entry, luat_kv_entry_free> entry_;
};

/// Entries in byte order of their keys, or the reverse of it: a range, for a `for` loop or an algorithm. Empty once it
/// was moved from.
class page {
public:
    /// Goes through the entries, in any order. Good as long as the page is neither freed nor moved.
    using iterator = const entry_view*;

    /// The first entry.
    iterator begin() const noexcept { return entries_.data(); }
    /// Behind the last entry.
    iterator end() const noexcept { return begin() + size(); }
    /// How many entries there are.
    std::size_t size() const noexcept { return entries_.size(); }
    /// Whether there are none.
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    /// The entry at an index from 0. Beyond the end is errc::invalid.
    const entry_view& operator[](std::size_t index) const {
        if (index >= size())
            throw error(errc::invalid, "index " + std::to_string(index) + " in a page of " + std::to_string(size()));
        return entries_[index];
    }

    /// Where the next page begins, for list_options::cursor; empty where nothing live is left.
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
    explicit page(luat_kv_page* got) : page_(got) {
        entries_.reserve(luat_kv_page_len(got));
        for (std::size_t index = 0; index < luat_kv_page_len(got); index++)
            entries_.push_back(entry_view(luat_kv_page_at(got, index)));
    }

    detail::handle<luat_kv_page, luat_kv_page_free> page_{};
    std::vector<entry_view> entries_{};
};

/// The entries of all pages, read one page at a time, which kv_namespace::each() gives: for one `for` loop at a time,
/// which reads from the beginning. An entry is good until the loop goes on. It keeps the namespace open.
class entry_range {
public:
    /// Where the loop stands. Going on may read a page, and so throw; the loop then stands where it stood.
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag; ///< All iterators of a range stand at one place.
        using value_type = entry_view;                     ///< What it gives.
        using difference_type = std::ptrdiff_t;            ///< Between two of them.
        using pointer = const entry_view*;                 ///< To what it gives.
        using reference = const entry_view&;               ///< To what it gives.

        /// The end.
        iterator() noexcept = default;
        /// The entry here.
        reference operator*() const { return range_->page_[range_->index_]; }
        /// The entry here.
        pointer operator->() const { return &**this; }
        /// Goes to the next entry.
        iterator& operator++() { return range_->next(), *this; }
        /// Goes to the next entry.
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

    /// Reads the first page, anew if need be.
    iterator begin() { return read(options_.cursor, grows() ? first_page : options_.limit), iterator(this); }
    /// The end.
    iterator end() const noexcept { return {}; }

private:
    friend class kv_namespace;
    entry_range(std::shared_ptr<luat_kv_namespace> ns, const list_options& options)
        : ns_(std::move(ns)), options_(options) {}

    // A loop may end early, so its first page is small, and each page is larger than the one before: unless the options
    // say how large a page is.
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

// ---- A namespace

/// A set of keys of its own within a store, which store::open_namespace() gives.
class kv_namespace {
public:
    /// The value of a key; empty where it is missing or has expired.
    [[nodiscard]] std::optional<std::string> get(text key) const {
        std::uint8_t buffer[1024];
        std::size_t len = 0;
        switch (detail::call(luat_kv_get, ns(), detail::data(key), key.size(), buffer, sizeof buffer, &len)) {
        case LUAT_KV_NOT_FOUND:
            return std::nullopt;
        case LUAT_KV_TOO_SMALL: { // by now it may be of another length
            const std::optional<entry> large = get_entry(key);
            return large ? std::optional<std::string>(large->value()) : std::nullopt;
        }
        default:
            return std::string(detail::view(buffer, len));
        }
    }

    /// A value with its metadata, expiration and version; empty where the key is missing or has expired.
    [[nodiscard]] std::optional<entry> get_entry(text key) const {
        auto* got = detail::ask<luat_kv_entry*>(luat_kv_get_entry, ns(), detail::data(key), key.size());
        return got ? std::optional<entry>(entry(got)) : std::nullopt;
    }

    /// Whether a key is there, without reading its value.
    [[nodiscard]] bool contains(text key) const {
        return detail::call(luat_kv_has, ns(), detail::data(key), key.size()) == LUAT_KV_OK;
    }

    /// The entries of those keys that are there, in byte order and each once, all as they are at one moment. The keys
    /// are any range of text that is there already, as a std::vector<std::string>.
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

    /// Stores a value, and replaces all that the key held before: value, metadata and expiration.
    void put(text key, text value, const put_options& options = {}) {
        const luat_kv_put_options c = detail::to_c(options);
        detail::call(luat_kv_put, ns(), detail::data(key), key.size(), detail::data(value), value.size(), &c);
    }

    /// Stores a value if the key is missing, and returns whether it was.
    bool add(text key, text value, const put_options& options = {}) {
        const luat_kv_put_options c = detail::to_c(options);
        return detail::call(luat_kv_add, ns(), detail::data(key), key.size(), detail::data(value), value.size(), &c) ==
               LUAT_KV_OK;
    }

    /// As put(), and returns the version of what it stored, for batch::check().
    std::string put_versioned(text key, text value, const put_options& options = {}) {
        return *store_versioned(luat_kv_put_versioned, key, value, options);
    }

    /// As add(), and returns the version of what it stored; empty if the key was there.
    std::optional<std::string> add_versioned(text key, text value, const put_options& options = {}) {
        return store_versioned(luat_kv_add_versioned, key, value, options);
    }

    /// Removes a key, and returns whether it was there. That it is missing is no error.
    bool erase(text key) {
        return detail::call(luat_kv_remove, ns(), detail::data(key), key.size()) == LUAT_KV_OK;
    }

    /// Removes a key, and returns the entry that it held; empty where it is missing. Where several callers take the same
    /// key, one of them gets the entry.
    [[nodiscard]] std::optional<entry> take(text key) {
        auto* got = detail::ask<luat_kv_entry*>(luat_kv_take, ns(), detail::data(key), key.size());
        return got ? std::optional<entry>(entry(got)) : std::nullopt;
    }

    /// Gives a key a lifetime from now on; its value and metadata stay. Returns whether the key is there.
    bool touch(text key, std::chrono::seconds ttl) {
        return touch(key, 0, detail::seconds(std::optional(ttl), "the lifetime"));
    }
    /// Gives a key another expiration. Returns whether the key is there.
    bool touch(text key, time_point expiration) {
        return touch(key, detail::seconds(std::optional(expiration), "the expiration"), 0);
    }
    /// Takes a key's expiration away. Returns whether the key is there.
    bool touch(text key) { return touch(key, 0, 0); }

    /// Adds to the whole number that a key holds as decimal text, and returns the sum. A missing key is created.
    std::int64_t incr(text key, std::int64_t by = 1, const incr_options& options = {}) {
        const luat_kv_incr_options c = detail::to_c(options);
        return detail::ask<std::int64_t>(luat_kv_incr, ns(), detail::data(key), key.size(), by, &c);
    }

    /// A page of live keys; page::cursor() tells where the next begins.
    [[nodiscard]] page list(const list_options& options = {}) const {
        const luat_kv_list_options c = detail::to_c(options);
        return page(detail::ask<luat_kv_page*>(luat_kv_list, ns(), &c));
    }

    /// The live entries of all pages, for a `for` loop. With the default limit the first pages are small.
    [[nodiscard]] entry_range each(const list_options& options = {}) const { return ns(), entry_range(ns_, options); }

    /// How many live keys begin with a prefix.
    [[nodiscard]] std::uint64_t count(text prefix = "") const {
        return detail::ask<std::uint64_t>(luat_kv_count, ns(), detail::data(prefix), prefix.size());
    }

    /// Removes all keys that begin with a prefix, which must not be empty, in small steps. Returns how many were live.
    std::uint64_t erase_prefix(text prefix) {
        return detail::ask<std::uint64_t>(luat_kv_delete_prefix, ns(), detail::data(prefix), prefix.size());
    }

    /// Removes all keys, in small steps. Returns how many were live.
    std::uint64_t clear() { return detail::ask<std::uint64_t>(luat_kv_clear, ns()); }

    /// What an import did.
    struct imported {
        std::uint64_t stored = 0;  ///< How many entries were stored.
        std::uint64_t skipped = 0; ///< How many were left out: expired, or of keys that were there.
    };

    /// Writes all live entries to a file of JSON, and returns how many.
    std::uint64_t export_to(const std::string& path, format format = format::json) const {
        return detail::ask<std::uint64_t>(luat_kv_export, ns(), detail::path(path), static_cast<std::uint32_t>(format));
    }

    /// Stores the entries of an export, all or none.
    imported import_from(const std::string& path, existing existing = existing::keep) {
        imported done;
        detail::call(luat_kv_import, ns(), detail::path(path), static_cast<std::uint32_t>(existing), &done.stored,
                     &done.skipped);
        return done;
    }

#ifndef _WIN32
    /// As export_to(), to a descriptor: a file, a pipe, a socket. It stays open and yours.
    std::uint64_t export_to_fd(int fd, format format = format::json) const {
        return detail::ask<std::uint64_t>(luat_kv_export_fd, ns(), fd, static_cast<std::uint32_t>(format));
    }

    /// As import_from(), from a descriptor. It stays open and yours.
    imported import_from_fd(int fd, existing existing = existing::keep) {
        imported done;
        detail::call(luat_kv_import_fd, ns(), fd, static_cast<std::uint32_t>(existing), &done.stored, &done.skipped);
        return done;
    }
#endif

    /// Gives the handle back; again is harmless. What the namespace holds stays in the store.
    void close() noexcept { ns_.reset(); }

    /// Handles move; they are not copied.
    kv_namespace(kv_namespace&&) noexcept = default;
    /// Frees what it held.
    kv_namespace& operator=(kv_namespace&&) noexcept = default;

private:
    friend class batch;
    friend class store;
    explicit kv_namespace(luat_kv_namespace* got) : ns_(got, luat_kv_namespace_free) {}

    luat_kv_namespace* ns() const { return detail::use(ns_, "namespace"); }

    template <class Function>
    std::optional<std::string> store_versioned(Function function, text key, text value, const put_options& options) {
        const luat_kv_put_options c = detail::to_c(options);
        char version[LUAT_KV_VERSION_SIZE];
        const bool is_stored = detail::call(function, ns(), detail::data(key), key.size(), detail::data(value),
                                            value.size(), &c, version) == LUAT_KV_OK;
        return is_stored ? std::optional<std::string>(version) : std::nullopt;
    }

    bool touch(text key, std::int64_t expiration, std::int64_t ttl) {
        return detail::call(luat_kv_touch, ns(), detail::data(key), key.size(), expiration, ttl) == LUAT_KV_OK;
    }

    std::shared_ptr<luat_kv_namespace> ns_; // shared with the ranges that go through it
};

// ---- A batch

/// Changes to namespaces of one store, gathered and then made all together or not at all, in their order:
///
///     auto apples = stock.get_entry("apples");
///     auto version = store.open_batch().check(stock, "apples", apples).put(stock, "apples", "2").commit();
///     if (!version) …                               // somebody was faster, and nothing was changed: read again
///
/// Nothing is written, and nobody waits, until the commit. After an error a batch is as it was.
class batch {
public:
    /// Adds a condition: a key still has this version, an entry's or a commit's.
    batch& check(const kv_namespace& ns, text key, text version) {
        if (version.empty())
            throw error(errc::invalid, "the version is empty; std::nullopt is for a key that must be missing");
        return check(ns, key, detail::bytes(version));
    }
    /// Adds a condition: a key is missing.
    batch& check(const kv_namespace& ns, text key, std::nullopt_t) {
        return check(ns, key, luat_kv_bytes{});
    }
    /// Adds a condition: a key is as kv_namespace::get_entry() found it, there or missing.
    batch& check(const kv_namespace& ns, text key, const std::optional<entry>& seen) {
        return seen ? check(ns, key, seen->version()) : check(ns, key, std::nullopt);
    }

    /// Adds what kv_namespace::put() does. A lifetime begins with the commit.
    batch& put(const kv_namespace& ns, text key, text value, const put_options& options = {}) {
        const luat_kv_put_options c = detail::to_c(options);
        detail::call(luat_kv_batch_put, get(), ns.ns(), detail::data(key), key.size(), detail::data(value),
                     value.size(), &c);
        return *this;
    }

    /// Adds what kv_namespace::erase() does.
    batch& erase(const kv_namespace& ns, text key) {
        detail::call(luat_kv_batch_delete, get(), ns.ns(), detail::data(key), key.size());
        return *this;
    }

    /// Adds what kv_namespace::incr() does. What cannot be counted fails the commit.
    batch& incr(const kv_namespace& ns, text key, std::int64_t by = 1, const incr_options& options = {}) {
        const luat_kv_incr_options c = detail::to_c(options);
        detail::call(luat_kv_batch_incr, get(), ns.ns(), detail::data(key), key.size(), by, &c);
        return *this;
    }

    /// Makes all the changes, and returns the version that all entries have which it stored; empty where a condition
    /// did not hold, and nothing was changed. Either is the end of the batch; after an error it can be committed again.
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

    detail::handle<luat_kv_batch, luat_kv_batch_free> batch_;
};

// ---- The store

/// What a namespace held when it was counted.
struct namespace_stats {
    std::string name{};        ///< Its name.
    std::uint64_t live = 0;    ///< How many live keys it has.
    std::uint64_t expired = 0; ///< How many have expired, and are still to be swept away.
};

/// What a store held when it was counted.
struct stats {
    std::string path{};                        ///< The database file's absolute path, or "memory".
    std::uint64_t file_size = 0;               ///< How many bytes it takes on disk, with the log beside it.
    std::vector<namespace_stats> namespaces{}; ///< Those that have keys, expired ones included, in byte order.
};

/// A database file, or memory, that holds namespaces. Paths are bytes as the system has them, UTF-8 on Windows;
/// elsewhere a std::filesystem::path is one too.
class store {
public:
    /// Opens the database file at a path, and makes it, with the folders it lies in, where it is missing.
    [[nodiscard]] static store open(const std::string& path, const open_options& options = {}) {
        return open_with(luat_kv_open, options, detail::path(path));
    }

    /// Opens the store of the Luat project that a folder lies in.
    [[nodiscard]] static store open_project(const std::string& dir = ".", const open_options& options = {}) {
        return open_with(luat_kv_open_project, options, detail::path(dir));
    }

    /// Makes a new, empty store in memory. Of the options, only the limits matter; readonly is errc::invalid.
    [[nodiscard]] static store open_memory(const open_options& options = {}) {
        return open_with(luat_kv_open_memory, options);
    }

    /// Opens a namespace. Nothing is written until a key is put.
    [[nodiscard]] kv_namespace open_namespace(text name) const {
        return kv_namespace(
            detail::ask<luat_kv_namespace*>(luat_kv_namespace_open, get(), detail::data(name), name.size()));
    }

    /// The database file's absolute path, or "memory".
    [[nodiscard]] std::string path() const { return luat_kv_store_path(get()); }

    /// What the store takes at most. A field that the loaded library does not know is 0.
    [[nodiscard]] luat_kv_limits limits() const {
        luat_kv_limits limits;
        luat_kv_store_limits(get(), &limits, sizeof limits);
        return limits;
    }

    /// Begins a batch, empty as yet.
    [[nodiscard]] batch open_batch() const { return batch(detail::ask<luat_kv_batch*>(luat_kv_batch_open, get())); }

    /// The names of the namespaces that have live keys, in byte order.
    [[nodiscard]] std::vector<std::string> namespaces() const {
        const page all(detail::ask<luat_kv_page*>(luat_kv_namespaces, get()));
        std::vector<std::string> names;
        for (const entry_view& each : all)
            names.emplace_back(each.key());
        return names;
    }

    /// Counts what the store holds, entry by entry.
    [[nodiscard]] luat_kv::stats stats() const {
        auto* got = detail::ask<luat_kv_stats*>(luat_kv_stats_read, get());
        const detail::handle<luat_kv_stats, luat_kv_stats_free> owned(got);
        luat_kv::stats read{luat_kv_stats_path(got), luat_kv_stats_file_size(got), {}};
        for (std::size_t index = 0; index < luat_kv_stats_len(got); index++) {
            std::size_t len = 0;
            const std::uint8_t* name = luat_kv_stats_name(got, index, &len);
            read.namespaces.push_back({std::string(detail::view(name, len)), luat_kv_stats_live(got, index),
                                       luat_kv_stats_expired(got, index)});
        }
        return read;
    }

    /// Removes expired entries from the file, at most so many (0: all), and returns how many. Never needed for correct
    /// results.
    std::uint64_t sweep(std::uint64_t max = 0) { return detail::ask<std::uint64_t>(luat_kv_sweep, get(), max); }

    /// Writes the file anew, without the room that removed entries have left in it. Meanwhile writers wait.
    void compact() { detail::call(luat_kv_compact, get()); }

    /// Moves the log that lies beside the file into it, and returns whether all of it is.
    bool checkpoint() { return detail::ask<int>(luat_kv_checkpoint, get()) != 0; }

    /// Copies the whole store, as it is at one moment, into a new database file. Others can write meanwhile.
    void backup(const std::string& path) const { detail::call(luat_kv_backup, get(), detail::path(path)); }

    /// Gives the handle back; again is harmless. Namespaces and batches go on working, and the file closes with the
    /// last of them.
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
