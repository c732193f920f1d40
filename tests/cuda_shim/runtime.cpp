// Runs CUDA kernels compiled for the host, and watches every access to memory.
//
// A kernel is compiled with GCC's -fsanitize=thread and some of -fsanitize=undefined,
// which insert calls at every load and store and where undefined behaviour shows; the
// functions called are not the sanitizers' libraries but those at the end of this file.
// So each access is known with its thread, and judged by CUDA's rules:
//   - it lies inside an array that the kernel was given, or in shared memory;
//   - shared memory is written before it is read, in each block anew;
//   - two threads touch an element, one of them writing, with a barrier in between.
// A fault ends the launch before the access happens. Blocks run one after another, the
// threads of a block as fibers on one thread of the host.
#include <dlfcn.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "device.hpp"

namespace {
const std::size_t STACK = 64 << 10;
enum State { FRESH, READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, AT_SHUFFLE, DONE };

// A context is needed to enter a fiber; from then on jumps switch, which are a hundred
// times quicker because they do not ask the system for the signal mask.
struct Fiber {
    ucontext_t context;
    jmp_buf jump;
    bool entered = false;
    std::unique_ptr<char[]> stack{new char[STACK]};
};

struct Thread {
    int number;
    uint3 index;
    State state;
    Fiber* fiber;
    int line;                // where it waits
    int barriers, exchanges; // passed so far: of the block, of the whole warp
    unsigned mask;
    int source;
    unsigned long long value, received;
};

// One access, stamped with what orders it: barriers of its block and of its warp.
struct Access {
    int block = -1, thread, barriers, exchanges;
};

// An element's last write and last reads. Of several readers one stands for all.
struct Cell {
    Access write, read;
    bool many_readers, many_warps;
};

struct Memory {
    char* start;
    std::size_t bytes, unit;
    int argument;            // -1: shared memory
    std::vector<Cell> cells;
};

jmp_buf launcher;
std::deque<Fiber> fibers;
std::vector<Fiber*> idle;
std::vector<Thread> threads;
std::vector<int> order;
std::size_t next_fresh;
std::vector<Memory> memories;
std::vector<char> dynamic_memory;
Thread* self;
void (*entry)(void**);
void** arguments;
char* static_memory;
std::size_t static_bytes;
dim3 grid, size;
uint3 here;
int block_number, waiting, finished;
bool failed;
char message[600];
std::size_t fault_offset;

[[noreturn]] void fault(const void* pc, const char* format, ...) {
    int used = snprintf(message, sizeof message, "thread (%u, %u, %u) of block (%u, %u, %u) ",
                        self->index.x, self->index.y, self->index.z, here.x, here.y, here.z);
    va_list rest;
    va_start(rest, format);
    vsnprintf(message + used, sizeof message - used, format, rest);
    va_end(rest);
    Dl_info info;
    fault_offset = 0;
    if (pc && dladdr(pc, &info))  // of the instruction before the return address
        fault_offset = static_cast<const char*>(pc) - static_cast<char*>(info.dli_fbase) - 1;
    failed = true;
    _longjmp(launcher, 1);
}

__attribute__((noinline)) void leave(Fiber* fiber) {
    if (!_setjmp(fiber->jump)) _longjmp(launcher, 1);
}

__attribute__((noinline)) void enter(Fiber* fiber) {
    if (_setjmp(launcher)) return;
    if (fiber->entered) _longjmp(fiber->jump, 1);
    fiber->entered = true;
    setcontext(&fiber->context);
}

void finish() {
    self->state = DONE;
    finished++;
    if (waiting)
        for (Thread& t : threads)
            if (t.state == AT_BLOCK_BARRIER)
                fault(nullptr, "returned, but thread %d waits for it at the "
                      "__syncthreads() of line %d", t.number, t.line);
}

// A fiber runs threads one after another until one of them has to wait.
void run_threads() {
    for (;;) {
        entry(arguments);
        finish();
        Fiber* mine = self->fiber;
        if (next_fresh < order.size()) {
            self = &threads[order[next_fresh++]];
            self->fiber = mine;
        } else {
            idle.push_back(mine);
            leave(mine);  // back for a thread of a next block
        }
        self->state = READY;
    }
}

void resume(Thread& thread) {
    self = &thread;
    thread.state = READY;
    if (!thread.fiber) {
        if (idle.empty()) {
            Fiber& made = fibers.emplace_back();
            getcontext(&made.context);
            made.context.uc_stack.ss_sp = made.stack.get();
            made.context.uc_stack.ss_size = STACK;
            made.context.uc_link = nullptr;
            makecontext(&made.context, run_threads, 0);
            idle.push_back(&made);
        }
        thread.fiber = idle.back();
        idle.pop_back();
    }
    enter(thread.fiber);
}

void stuck() {
    const char* names[] = {"", "", "__syncthreads()", "__syncwarp()", "a shuffle"};
    const Thread *first = nullptr, *other = nullptr;
    for (const Thread& t : threads) {
        if (t.state == DONE) continue;
        if (!first) first = &t;
        else if (!other && (t.line != first->line || t.mask != first->mask)) other = &t;
    }
    int used = snprintf(message, sizeof message, "deadlock in block (%u, %u, %u): thread %d "
                        "waits at %s of line %d", here.x, here.y, here.z, first->number,
                        names[first->state], first->line);
    if (other)
        snprintf(message + used, sizeof message - used, ", thread %d at %s of line %d",
                 other->number, names[other->state], other->line);
    else
        snprintf(message + used, sizeof message - used, " for lanes that do not come");
    failed = true;
}

void run_block(int way, std::mt19937& random) {
    int count = size.x * size.y * size.z;
    threads.assign(count, Thread());
    order.resize(count);
    for (int i = 0; i < count; i++) {
        threads[i].number = order[i] = i;
        threads[i].index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    }
    if (way == 1) std::reverse(order.begin(), order.end());
    if (way == 2) std::shuffle(order.begin(), order.end(), random);
    waiting = finished = 0;
    next_fresh = 0;
    // Every byte 0xff: such floats and doubles are NaN.
    if (static_bytes) memset(static_memory, 0xff, static_bytes);
    std::fill(dynamic_memory.begin(), dynamic_memory.end(), 0xff);
    while (finished < count && !failed) {
        bool progress = false;
        while (next_fresh < order.size() && !failed) {
            progress = true;
            resume(threads[order[next_fresh++]]);
        }
        for (int i : order)
            if (threads[i].state == READY && threads[i].fiber && !failed) {
                progress = true;
                resume(threads[i]);
            }
        if (!progress && !failed && finished < count) stuck();
    }
}

// Lanes in self->mask that are at the same call meet; true if all of them are there.
bool meet(State state, int line, unsigned mask, const void* pc) {
    int warp = self->number / 32 * 32, count = threads.size();
    if (!(mask >> (self->number % 32) & 1))
        fault(pc, "calls with mask %#x, which does not name its own lane %d", mask,
              self->number % 32);
    self->state = state, self->line = line, self->mask = mask;
    bool all = true;
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        if (warp + l >= count || threads[warp + l].state == DONE)
            fault(pc, "calls with mask %#x, but lane %d %s", mask, l,
                  warp + l >= count ? "does not exist" : "has returned");
        const Thread& t = threads[warp + l];
        all = all && t.state == state && t.line == line && t.mask == mask;
    }
    return all;
}

bool ordered(const Access& before, const Access& now) {
    if (before.block != now.block) return false;
    if (before.thread == now.thread || before.barriers < now.barriers) return true;
    return before.thread / 32 == now.thread / 32 && before.exchanges < now.exchanges;
}

void touch(char* address, std::size_t bytes, bool write, const void* pc) {
    if (!self) return;
    char* stack = self->fiber->stack.get();
    if (address >= stack && address < stack + STACK) return;
    Memory* found = nullptr;
    for (Memory& m : memories)
        if (address >= m.start && address < m.start + m.bytes) found = &m;
    if (!found || address + bytes > found->start + found->bytes) {
        const Memory* near = found;
        long distance = 0;
        for (const Memory& m : memories) {
            if (found) break;
            long past = address < m.start ? address - m.start
                                          : address - (m.start + m.bytes) + 1;
            if (!near || std::abs(past) < std::abs(distance)) near = &m, distance = past;
        }
        if (!near) fault(pc, "accesses memory, but was given none");
        long index = (address - near->start) / long(near->unit);
        char name[40];
        snprintf(name, sizeof name, near->argument < 0 ? "shared memory" : "argument %d",
                 near->argument);
        fault(pc, "%s out of bounds: element %ld of %s, which has %zu", write ? "writes" : "reads",
              index, name, near->bytes / near->unit);
    }
    bool shared = found->argument < 0;
    Access now;
    now.block = block_number, now.thread = self->number;
    now.barriers = self->barriers, now.exchanges = self->exchanges;
    std::size_t first = (address - found->start) / found->unit;
    std::size_t last = (address + bytes - 1 - found->start) / found->unit;
    for (std::size_t i = first; i <= last; i++) {
        Cell& cell = found->cells[i];
        char name[80];
        auto named = [&] {
            snprintf(name, sizeof name, shared ? "element %zu of shared memory"
                     : "element %zu of argument %d", i, found->argument);
            return name;
        };
        if (shared && cell.write.block != block_number) {
            if (!write) fault(pc, "reads %s before anything was written there", named());
            cell = Cell();
        }
        const Access &w = cell.write, &r = cell.read;
        if (w.block >= 0 && !ordered(w, now))
            fault(pc, "%s %s, which thread %d of block %d writes too: a race",
                  write ? "writes" : "reads", named(), w.thread, w.block);
        if (write) {
            bool after = r.block < 0 || ordered(r, now);
            if (r.block == now.block && r.barriers == now.barriers && cell.many_readers)
                after = !cell.many_warps && r.thread / 32 == now.thread / 32 &&
                        r.exchanges < now.exchanges;
            if (!after)
                fault(pc, "writes %s, which thread %d of block %d reads too: a race",
                      named(), r.thread, r.block);
            cell.write = now;
            cell.read.block = -1;
            cell.many_readers = cell.many_warps = false;
        } else {
            bool apart = r.block >= 0 && !ordered(r, now);
            cell.many_readers = apart || (cell.many_readers && r.block == now.block &&
                                          r.barriers == now.barriers);
            cell.many_warps = cell.many_readers &&
                              (cell.many_warps || r.block != now.block ||
                               r.thread / 32 != now.thread / 32);
            // Of readers in several blocks an earlier one stays: no write follows it.
            if (!apart || r.block == now.block) cell.read = now;
        }
    }
}
}  // namespace

namespace cuda_shim {
uint3 thread() { return self->index; }
uint3 block() { return here; }
dim3 block_size() { return size; }
dim3 grid_size() { return grid; }
unsigned lane() { return self->number % 32; }
char* dynamic_shared() { return dynamic_memory.data(); }

void block_barrier(int line) {
    const void* pc = __builtin_return_address(0);
    if (finished)
        for (const Thread& t : threads)
            if (t.state == DONE)
                fault(pc, "waits at a __syncthreads() that thread %d, which has returned, "
                      "does not reach", t.number);
    for (const Thread& t : threads)
        if (t.state == AT_BLOCK_BARRIER && t.line != line)
            fault(pc, "waits at a __syncthreads(), but thread %d at that of line %d: "
                  "mismatched barriers", t.number, t.line);
    self->state = AT_BLOCK_BARRIER;
    self->line = line;
    if (++waiting == int(threads.size())) {
        waiting = 0;
        for (Thread& t : threads) t.state = READY, t.barriers++;
    }
    leave(self->fiber);
}

void warp_barrier(int line, unsigned mask) {
    if (meet(AT_WARP_BARRIER, line, mask, __builtin_return_address(0))) {
        int warp = self->number / 32 * 32, end = std::min<int>(warp + 32, threads.size());
        // A barrier of a part of the warp orders that part only; it counts as none.
        bool whole = mask == (end - warp == 32 ? ~0u : (1u << (end - warp)) - 1);
        for (int l = 0; l < end - warp; l++)
            if (mask >> l & 1) {
                threads[warp + l].state = READY;
                threads[warp + l].exchanges += whole;
            }
    }
    leave(self->fiber);
}

unsigned long long exchange(int line, unsigned mask, unsigned long long v, int source) {
    const void* pc = __builtin_return_address(0);
    self->value = v;
    self->source = source;
    if (source < 0 || source > 31 || !(mask >> source & 1))
        fault(pc, "shuffles from lane %d, which mask %#x does not name", source, mask);
    if (meet(AT_SHUFFLE, line, mask, pc)) {
        int warp = self->number / 32 * 32;
        for (int l = 0; l < 32; l++)
            if (mask >> l & 1) {
                Thread& t = threads[warp + l];
                t.received = threads[warp + t.source].value;
                t.state = READY;
            }
    }
    Thread* me = self;
    leave(self->fiber);
    return me->received;
}
}  // namespace cuda_shim

extern "C" {
// Runs a kernel by its entry; returns null, or a message of what went wrong and, in *offset, the
// place in the kernel's code. `fixed` is its static shared memory; `starts`, `bytes`,
// `units` and `numbers` describe the arrays among the arguments, `way` the order of
// threads and blocks.
const char* cuda_shim_launch(void (*kernel)(void**), void** args, const unsigned* grid_,
                             const unsigned* block_, char* fixed, std::size_t fixed_bytes,
                             std::size_t dynamic, std::size_t unit, int arrays,
                             char** starts, const std::size_t* bytes,
                             const std::size_t* units, const int* numbers, int way,
                             std::size_t* offset) {
    entry = kernel;
    arguments = args;
    static_memory = fixed;
    static_bytes = fixed_bytes;
    grid = {grid_[0], grid_[1], grid_[2]};
    size = {block_[0], block_[1], block_[2]};
    failed = false;
    fault_offset = 0;
    memories.clear();
    dynamic_memory.assign(dynamic, 0);
    auto add = [](char* start, std::size_t length, std::size_t each, int argument) {
        if (length) memories.push_back({start, length, each, argument,
                                        std::vector<Cell>((length + each - 1) / each)});
    };
    for (int i = 0; i < arrays; i++) add(starts[i], bytes[i], units[i], numbers[i]);
    add(dynamic_memory.data(), dynamic, unit, -1);
    add(static_memory, static_bytes, 4, -1);
    std::mt19937 random(dynamic + grid.x * 31 + size.x);
    std::vector<int> blocks(std::size_t(grid.x) * grid.y * grid.z);
    for (std::size_t i = 0; i < blocks.size(); i++) blocks[i] = i;
    if (way == 1) std::reverse(blocks.begin(), blocks.end());
    if (way == 2) std::shuffle(blocks.begin(), blocks.end(), random);
    for (int b : blocks) {
        block_number = b;
        here = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        run_block(way, random);
        if (failed) break;
    }
    if (failed) {  // fibers in the middle of a kernel cannot be used again
        fibers.clear();
        idle.clear();
    }
    self = nullptr;
    *offset = fault_offset;
    return failed ? message : nullptr;
}

// What the inserted calls call. Volatile, aligned and unaligned accesses are the same.
#define WATCH(bytes)                                                                  \
    void __tsan_read##bytes(void* p) {                                                \
        touch((char*)p, bytes, false, __builtin_return_address(0));                   \
    }                                                                                 \
    void __tsan_write##bytes(void* p) {                                               \
        touch((char*)p, bytes, true, __builtin_return_address(0));                    \
    }                                                                                 \
    void __tsan_unaligned_read##bytes(void* p) {                                      \
        touch((char*)p, bytes, false, __builtin_return_address(0));                   \
    }                                                                                 \
    void __tsan_unaligned_write##bytes(void* p) {                                     \
        touch((char*)p, bytes, true, __builtin_return_address(0));                    \
    }                                                                                 \
    void __tsan_volatile_read##bytes(void* p) {                                       \
        touch((char*)p, bytes, false, __builtin_return_address(0));                   \
    }                                                                                 \
    void __tsan_volatile_write##bytes(void* p) {                                      \
        touch((char*)p, bytes, true, __builtin_return_address(0));                    \
    }
WATCH(1) WATCH(2) WATCH(4) WATCH(8) WATCH(16)
#undef WATCH
void __tsan_read_range(void* p, unsigned long n) {
    touch((char*)p, n, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long n) {
    touch((char*)p, n, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void __ubsan_handle_out_of_bounds(void*, unsigned long index) {
    fault(__builtin_return_address(0), "uses index %ld, out of bounds of an array", (long)index);
}
#define UNDEFINED(name, what)                                                         \
    void __ubsan_handle_##name(void*, unsigned long, unsigned long) {                 \
        fault(__builtin_return_address(0), what);                                     \
    }
UNDEFINED(add_overflow, "overflows an integer in an addition")
UNDEFINED(sub_overflow, "overflows an integer in a subtraction")
UNDEFINED(mul_overflow, "overflows an integer in a multiplication")
UNDEFINED(negate_overflow, "overflows an integer in a negation")
UNDEFINED(divrem_overflow, "divides by zero")
UNDEFINED(shift_out_of_bounds, "shifts by too many bits")
#undef UNDEFINED
}
