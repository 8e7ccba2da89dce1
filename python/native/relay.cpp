// ditto-relay: a network in a process. It forwards connections on one machine with the bandwidth and the
// delay of a slower network, in user space, so it needs neither privileges nor kernel modules.
//
//   ditto-relay BITS_PER_SECOND ONE_WAY_DELAY_SECONDS ROUTE...     ROUTE = LISTENING_FD:FROM:TO:TARGET
//
// A connection that host FROM makes to LISTENING_FD is forwarded to TARGET, where host TO listens: a port of
// 127.0.0.1, or the absolute path of a Unix socket.
// Each host has one uplink that everything it sends shares, in both directions of all connections: a line
// that transmits one chunk after the other at the given rate, without bursts. A chunk reaches the other
// side when it has been transmitted and the delay has passed. Connections are first in, first out.
//
// Lines on standard input make the network fail; each is answered by `ok` when it has been obeyed:
//   hold FROM TO   silence: what host FROM sends to host TO is taken, as far as the queue goes, and waits
//   cut FROM TO    connections between the two, whoever made them, are reset, and new ones are closed at once
//   restore        no faults any more; what waits is delivered
// The relay ends when its standard input does, which is how it never outlives the process that started it.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using Nanoseconds = int64_t;

constexpr Nanoseconds kForever = INT64_MAX;
constexpr size_t kBufferBytes = 128 * 1024;

// How far ahead of the line a host may have handed over data, as the queue of a network card. Beyond it
// the relay stops reading, and TCP makes the sender wait.
constexpr Nanoseconds kQueue = 2'000'000;

// A chunk is delivered whole, so it is no longer than the line transmits in this time.
constexpr Nanoseconds kLongestChunk = 500'000;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "ditto-relay: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

Nanoseconds now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

using Buffer = std::unique_ptr<char[]>;

// Buffers in use again while they are still in the cache.
std::vector<Buffer> spare_buffers;

Buffer take_buffer() {
  if (spare_buffers.empty()) return std::make_unique<char[]>(kBufferBytes);
  Buffer buffer = std::move(spare_buffers.back());
  spare_buffers.pop_back();
  return buffer;
}

struct Uplink {
  double nanoseconds_per_byte = 0;
  Nanoseconds free_at = 0;

  // When the last of `bytes`, handed over at `time`, has left.
  Nanoseconds transmit(Nanoseconds time, size_t bytes) {
    free_at = std::max(time, free_at) + std::llround(static_cast<double>(bytes) * nanoseconds_per_byte);
    return free_at;
  }
};

// From one host to another.
using Way = std::pair<size_t, size_t>;

struct Network {
  Nanoseconds delay;
  size_t chunk_bytes;
  std::vector<Uplink> uplinks;
  std::set<Way> held;
  std::set<Way> cut;  // both ways of each pair
};

struct Chunk {
  Buffer data;
  size_t begin;
  size_t end;
  Nanoseconds due;
};

// One direction of a connection.
class Flow {
 public:
  Flow(int from, int to, Way way, Uplink* uplink) : from_(from), to_(to), way_(way), uplink_(uplink) {}

  int from() const { return from_; }
  int to() const { return to_; }
  Way way() const { return way_; }
  bool finished() const { return shut_; }

  // Moves what can be moved at `time`; false when the connection is broken.
  bool step(const Network& network, Nanoseconds time) {
    return receive(network, time) && (network.held.count(way_) != 0 || deliver(time));
  }

  void set_readable() { readable_ = true; }
  void set_writable() { writable_ = true; }

  // When there is something to do again that no socket event will announce.
  Nanoseconds next(const Network& network) const {
    Nanoseconds wake = kForever;
    if (readable_ && !ended_ && !full(network)) wake = uplink_->free_at - kQueue;
    const bool held = network.held.count(way_) != 0;
    if (writable_ && !held && !queue_.empty()) wake = std::min(wake, queue_.front().due);
    return wake;
  }

 private:
  // Whether so much is on its way that more has to wait at the sender's.
  bool full(const Network& network) const {
    const double on_the_way = static_cast<double>(network.delay) / uplink_->nanoseconds_per_byte;
    return static_cast<double>(queued_bytes_) > 4e6 + 2 * on_the_way;
  }

  // Reads one chunk, so that connections which share an uplink take turns.
  bool receive(const Network& network, Nanoseconds time) {
    if (!readable_ || ended_ || full(network) || uplink_->free_at - kQueue > time) return true;
    Buffer data = take_buffer();
    const ssize_t count = recv(from_, data.get(), network.chunk_bytes, 0);
    if (count > 0) {
      const size_t bytes = static_cast<size_t>(count);
      queue_.push_back({std::move(data), 0, bytes, uplink_->transmit(time, bytes) + network.delay});
      queued_bytes_ += bytes;
      return true;
    }
    spare_buffers.push_back(std::move(data));
    ended_ = count == 0;
    if (count < 0 && errno == EAGAIN) readable_ = false;
    return count == 0 || errno == EAGAIN || errno == EINTR;
  }

  bool deliver(Nanoseconds time) {
    while (writable_ && !queue_.empty() && queue_.front().due <= time) {
      Chunk& chunk = queue_.front();
      const ssize_t count = send(to_, chunk.data.get() + chunk.begin, chunk.end - chunk.begin, MSG_NOSIGNAL);
      if (count >= 0) {
        chunk.begin += static_cast<size_t>(count);
        queued_bytes_ -= static_cast<size_t>(count);
        if (chunk.begin == chunk.end) {
          spare_buffers.push_back(std::move(chunk.data));
          queue_.pop_front();
        }
      } else if (errno == EAGAIN) {
        writable_ = false;
      } else if (errno != EINTR) {
        return false;
      }
    }
    if (ended_ && !shut_ && queue_.empty()) {
      shut_ = true;
      shutdown(to_, SHUT_WR);
    }
    return true;
  }

  int from_;
  int to_;
  Way way_;
  Uplink* uplink_;
  std::deque<Chunk> queue_;
  size_t queued_bytes_ = 0;
  bool readable_ = false;
  bool writable_ = false;
  bool ended_ = false;
  bool shut_ = false;
};

// Closes a connection in the way that its other end notices at once: over TCP by a reset.
void reset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

struct Connection {
  Flow forward;
  Flow backward;

  // Moves what can be moved at `time`; false when the connection is at its end.
  bool step(const Network& network, Nanoseconds time) {
    return network.cut.count(forward.way()) == 0 && forward.step(network, time) && backward.step(network, time) &&
           !(forward.finished() && backward.finished());
  }

  void close(const Network& network) const {
    for (const int fd : {forward.from(), forward.to()}) {
      if (network.cut.count(forward.way()) != 0) {
        reset(fd);
      } else {
        ::close(fd);
      }
    }
  }
};

struct Route {
  int listener;
  Way way;
  sockaddr_storage target;
  socklen_t target_bytes;
};

// Reads LISTENING_FD:FROM:TO:TARGET; false when it is something else.
bool parse(const char* text, Route* route) {
  int read = 0;
  if (std::sscanf(text, "%d:%zu:%zu:%n", &route->listener, &route->way.first, &route->way.second, &read) != 3 ||
      read == 0) {
    return false;
  }
  const std::string target = text + read;
  if (target.rfind('/', 0) == 0) {
    auto* address = reinterpret_cast<sockaddr_un*>(&route->target);
    if (target.size() >= sizeof address->sun_path) return false;
    address->sun_family = AF_UNIX;
    std::copy(target.begin(), target.end(), address->sun_path);
    route->target_bytes = sizeof *address;
    return true;
  }
  auto* address = reinterpret_cast<sockaddr_in*>(&route->target);
  uint16_t port = 0;
  int end = 0;
  if (std::sscanf(target.c_str(), "%hu%n", &port, &end) != 1 || static_cast<size_t>(end) != target.size()) {
    return false;
  }
  address->sin_family = AF_INET;
  address->sin_port = htons(port);
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  route->target_bytes = sizeof *address;
  return true;
}

class Relay {
 public:
  Relay(Network network, std::vector<Route> routes) : network_(std::move(network)), routes_(std::move(routes)) {
    // Sleep to the microsecond.
    prctl(PR_SET_TIMERSLACK, 1);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_ < 0 || timer_ < 0) fail("cannot make an event queue");
    watch(STDIN_FILENO, EPOLLIN, {});
    watch(timer_, EPOLLIN | EPOLLET, {});
    for (const Route& route : routes_) {
      fcntl(route.listener, F_SETFL, O_NONBLOCK);
      watch(route.listener, EPOLLIN, {});
    }
  }

  // Returns when standard input ends.
  void run() {
    epoll_event events[64];
    bool busy = false;
    while (true) {
      const int count = epoll_wait(epoll_, events, 64, busy ? 0 : -1);
      if (count < 0 && errno != EINTR) fail("cannot wait for events");
      for (int i = 0; i < count; ++i) {
        if (!handle(events[i].data.fd, events[i].events)) return;
      }
      const Nanoseconds wake = forward();
      answer();
      busy = wake <= now();
      if (!busy) set_timer(wake);
    }
  }

 private:
  // What an event is about: one end of a connection, or none for anything else.
  struct End {
    Connection* connection = nullptr;
    bool opened_by_peer = false;
  };

  void watch(int fd, uint32_t events, End end) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0) fail("cannot watch a socket");
    if (ends_.size() <= static_cast<size_t>(fd)) ends_.resize(static_cast<size_t>(fd) + 1);
    ends_[static_cast<size_t>(fd)] = end;
  }

  // False when the relay shall end.
  bool handle(int fd, uint32_t events) {
    if (fd == STDIN_FILENO) return read_commands();
    if (fd == timer_) return true;
    const End end = ends_[static_cast<size_t>(fd)];
    if (end.connection == nullptr) {
      for (const Route& route : routes_) {
        if (route.listener == fd) accept_all(route);
      }
      return true;
    }
    Flow& out = end.opened_by_peer ? end.connection->forward : end.connection->backward;
    Flow& in = end.opened_by_peer ? end.connection->backward : end.connection->forward;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) out.set_readable();
    if (events & (EPOLLOUT | EPOLLERR)) in.set_writable();
    return true;
  }

  // False at the end of standard input.
  bool read_commands() {
    char data[4096];
    const ssize_t count = read(STDIN_FILENO, data, sizeof data);
    if (count <= 0) return count < 0 && errno == EINTR;
    commands_.append(data, static_cast<size_t>(count));
    for (size_t end; (end = commands_.find('\n')) != std::string::npos; commands_.erase(0, end + 1)) {
      obey(commands_.substr(0, end));
      ++obeyed_;
    }
    return true;
  }

  void obey(const std::string& command) {
    size_t from = 0;
    size_t to = 0;
    if (std::sscanf(command.c_str(), "hold %zu %zu", &from, &to) == 2) {
      network_.held.insert({from, to});
    } else if (std::sscanf(command.c_str(), "cut %zu %zu", &from, &to) == 2) {
      network_.cut.insert({{from, to}, {to, from}});
    } else if (command == "restore") {
      network_.held.clear();
      network_.cut.clear();
    } else {
      std::fprintf(stderr, "ditto-relay: '%s' is no command\n", command.c_str());
      std::exit(2);
    }
  }

  // Says that what was commanded holds from now on.
  void answer() {
    for (; obeyed_ > 0; --obeyed_) {
      if (write(STDOUT_FILENO, "ok\n", 3) != 3) fail("cannot answer");
    }
  }

  void accept_all(const Route& route) {
    int from;
    while ((from = accept4(route.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      if (network_.cut.count(route.way) != 0) {
        reset(from);
        continue;
      }
      const int to = socket(route.target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (to < 0) fail("cannot make a socket");
      // Whether it succeeds shows at the first read or write; until then nothing can be written.
      connect(to, reinterpret_cast<const sockaddr*>(&route.target), route.target_bytes);
      // In vain over Unix sockets, which never wait for more.
      const int yes = 1;
      setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      const auto [source, target] = route.way;
      auto connection = std::make_unique<Connection>(
          Connection{Flow(from, to, {source, target}, &network_.uplinks[source]),
                     Flow(to, from, {target, source}, &network_.uplinks[target])});
      constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      watch(from, kEvents, {connection.get(), true});
      watch(to, kEvents, {connection.get(), false});
      connections_.push_back(std::move(connection));
    }
  }

  // Moves what can be moved now; returns when there is something to do again.
  Nanoseconds forward() {
    const Nanoseconds time = now();
    Nanoseconds wake = kForever;
    // Another connection is first each time, so that none gets hold of its uplink before the others.
    if (!connections_.empty()) std::rotate(connections_.begin(), connections_.begin() + 1, connections_.end());
    const auto broken = [&](const std::unique_ptr<Connection>& connection) {
      if (!connection->step(network_, time)) {
        connection->close(network_);
        return true;
      }
      wake = std::min({wake, connection->forward.next(network_), connection->backward.next(network_)});
      return false;
    };
    connections_.erase(std::remove_if(connections_.begin(), connections_.end(), broken), connections_.end());
    return wake;
  }

  void set_timer(Nanoseconds wake) {
    itimerspec setting{};
    if (wake != kForever) {
      setting.it_value.tv_sec = wake / 1'000'000'000;
      setting.it_value.tv_nsec = wake % 1'000'000'000;
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &setting, nullptr);
  }

  Network network_;
  std::vector<Route> routes_;
  std::vector<End> ends_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::string commands_;  // the beginning of a line that is not there yet
  size_t obeyed_ = 0;
  int epoll_ = -1;
  int timer_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: ditto-relay BITS_PER_SECOND ONE_WAY_DELAY_SECONDS LISTENING_FD:FROM:TO:TARGET...\n");
    return 2;
  }
  // What passes through here belongs into no core dump, and to no other process of this user.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  std::signal(SIGPIPE, SIG_IGN);
  const double bytes_per_second = std::atof(argv[1]) / 8;
  std::vector<Route> routes;
  size_t hosts = 0;
  for (int i = 3; i < argc; ++i) {
    Route route{};
    if (!parse(argv[i], &route)) {
      std::fprintf(stderr, "ditto-relay: '%s' is not LISTENING_FD:FROM:TO:TARGET\n", argv[i]);
      return 2;
    }
    hosts = std::max({hosts, route.way.first + 1, route.way.second + 1});
    routes.push_back(route);
  }
  const double chunk = bytes_per_second * static_cast<double>(kLongestChunk) / 1e9;
  Network network{std::llround(std::atof(argv[2]) * 1e9),
                  static_cast<size_t>(std::clamp(chunk, 1500.0, static_cast<double>(kBufferBytes))),
                  std::vector<Uplink>(hosts, Uplink{1e9 / bytes_per_second, 0}),
                  {},
                  {}};
  Relay(std::move(network), std::move(routes)).run();
}
