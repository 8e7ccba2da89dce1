// ditto-relay: a network in a process. It forwards TCP connections on loopback with the bandwidth and
// the delay of a slower network, in user space, so it needs neither privileges nor kernel modules.
//
//   ditto-relay BITS_PER_SECOND ONE_WAY_DELAY_SECONDS ROUTE...     ROUTE = LISTENING_FD:FROM:TO:PORT
//
// A connection that host FROM makes to LISTENING_FD is forwarded to 127.0.0.1:PORT, where host TO listens.
// Each host has one uplink that everything it sends shares, in both directions of all connections: a line
// that transmits one chunk after the other at the given rate, without bursts. A chunk reaches the other
// side when it has been transmitted and the delay has passed. Connections are first in, first out.
// The relay ends when its standard input does, which is how it never outlives the process that started it.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
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

struct Network {
  Nanoseconds delay;
  size_t chunk_bytes;
  std::vector<Uplink> uplinks;
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
  Flow(int from, int to, Uplink* uplink) : from_(from), to_(to), uplink_(uplink) {}

  int from() const { return from_; }
  int to() const { return to_; }
  bool finished() const { return shut_; }

  // Moves what can be moved at `time`; false when the connection is broken.
  bool step(const Network& network, Nanoseconds time) {
    return receive(network, time) && deliver(time);
  }

  void set_readable() { readable_ = true; }
  void set_writable() { writable_ = true; }

  // When there is something to do again that no socket event will announce.
  Nanoseconds next(const Network& network) const {
    Nanoseconds wake = kForever;
    if (readable_ && !ended_ && !full(network)) wake = uplink_->free_at - kQueue;
    if (writable_ && !queue_.empty()) wake = std::min(wake, queue_.front().due);
    return wake;
  }

 private:
  // Whether the receiver is so slow that more has to wait at the sender's.
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
  Uplink* uplink_;
  std::deque<Chunk> queue_;
  size_t queued_bytes_ = 0;
  bool readable_ = false;
  bool writable_ = false;
  bool ended_ = false;
  bool shut_ = false;
};

struct Connection {
  Flow forward;
  Flow backward;

  bool step(const Network& network, Nanoseconds time) {
    return forward.step(network, time) && backward.step(network, time) &&
           !(forward.finished() && backward.finished());
  }

  void close() const {
    ::close(forward.from());
    ::close(forward.to());
  }
};

// What an event is about: a listening socket, one end of a connection, or the relay's own life.
struct Route {
  int listener;
  size_t from;
  size_t to;
  uint16_t port;
};

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
      busy = wake <= now();
      if (!busy) set_timer(wake);
    }
  }

 private:
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
    if (fd == STDIN_FILENO) {
      char byte;
      return read(fd, &byte, 1) > 0;
    }
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

  void accept_all(const Route& route) {
    int from;
    while ((from = accept4(route.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      const int to = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (to < 0) fail("cannot make a socket");
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(route.port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      // Whether it succeeds shows at the first read or write; until then the socket is not writable.
      connect(to, reinterpret_cast<sockaddr*>(&address), sizeof address);
      const int yes = 1;
      setsockopt(from, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      auto connection = std::make_unique<Connection>(
          Connection{Flow(from, to, &network_.uplinks[route.from]), Flow(to, from, &network_.uplinks[route.to])});
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
        connection->close();
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
  int epoll_ = -1;
  int timer_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: ditto-relay BITS_PER_SECOND ONE_WAY_DELAY_SECONDS LISTENING_FD:FROM:TO:PORT...\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const double bytes_per_second = std::atof(argv[1]) / 8;
  std::vector<Route> routes;
  size_t hosts = 0;
  for (int i = 3; i < argc; ++i) {
    Route route{};
    if (std::sscanf(argv[i], "%d:%zu:%zu:%hu", &route.listener, &route.from, &route.to, &route.port) != 4) {
      std::fprintf(stderr, "ditto-relay: '%s' is not LISTENING_FD:FROM:TO:PORT\n", argv[i]);
      return 2;
    }
    hosts = std::max({hosts, route.from + 1, route.to + 1});
    routes.push_back(route);
  }
  const double chunk = bytes_per_second * static_cast<double>(kLongestChunk) / 1e9;
  Network network{std::llround(std::atof(argv[2]) * 1e9),
                  static_cast<size_t>(std::clamp(chunk, 1500.0, static_cast<double>(kBufferBytes))),
                  std::vector<Uplink>(hosts, Uplink{1e9 / bytes_per_second, 0})};
  Relay(std::move(network), std::move(routes)).run();
}
